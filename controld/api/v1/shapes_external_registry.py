"""The JSON of external registries, and what it says of our records."""

from __future__ import annotations

from controld.model.external_registry import ExternalRegistry, ExternalRegistryDraft, RegistryAuth
from kit.faults import Malformed
from wire.base import Lenient


class ExternalRegistryAsked(Lenient, frozen=True, repr_omit_defaults=True):
    """A registry with what signs in to it, in full: `basic` needs a user and a password, the token kinds a token."""

    name: str
    endpoint: str
    """A host, with its port where that is not 443."""
    auth_kind: RegistryAuth
    username: str | None = None
    password: str | None = None
    """It is never told again."""
    token: str | None = None
    """It is never told again."""


class ExternalRegistryShape(Lenient, frozen=True):
    """A registry that the project may pull from, without what signs in to it."""

    id: str
    project_id: str
    name: str
    endpoint: str
    auth_kind: RegistryAuth
    credential_ref: str | None
    """The name of its document among the platform's secrets."""


def read_registry(asked: ExternalRegistryAsked) -> ExternalRegistryDraft:
    """The registry as the core has it; raises Malformed when its kind needs a field that is not there."""
    needed = {RegistryAuth.ANONYMOUS: (), RegistryAuth.BASIC: ("username", "password")}.get(asked.auth_kind, ("token",))
    for field in needed:
        if getattr(asked, field) is None:
            raise Malformed(
                f"cannot read body: {field} is required for {asked.auth_kind.value}", details={"field": field}
            )
    return ExternalRegistryDraft(
        name=asked.name,
        endpoint=asked.endpoint,
        auth_kind=asked.auth_kind,
        username=asked.username,
        password=asked.password,
        token=asked.token,
    )


def render_registry(registry: ExternalRegistry) -> ExternalRegistryShape:
    """A registry in its project."""
    return ExternalRegistryShape(
        id=registry.id,
        project_id=registry.project_id,
        name=registry.name,
        endpoint=registry.endpoint,
        auth_kind=registry.auth_kind,
        credential_ref=registry.credential_ref,
    )
