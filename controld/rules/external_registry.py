"""What an external registry may be, what is kept of its sign-in, and what it is signed in to with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controld.model.external_registry import ExternalRegistryDraft, RegistryAuth
from controld.rules.registry_hosts import find_host_problem, find_image_host
from controld.rules.validation import check_title
from kit.faults import Invalid
from wire.agent.builds import RegistryLogin

_LIMIT: Final = 16 * 1024
_ENDPOINT: Final = "endpoint"
_USERS: Final = {RegistryAuth.ECR_TOKEN: "AWS", RegistryAuth.GAR_TOKEN: "oauth2accesstoken"}
_FIELDS: Final[Mapping[RegistryAuth, tuple[str, ...]]] = {
    RegistryAuth.ANONYMOUS: (),
    RegistryAuth.BASIC: ("username", "password"),
    RegistryAuth.TOKEN: ("token",),
    RegistryAuth.ECR_TOKEN: ("token",),
    RegistryAuth.GAR_TOKEN: ("token",),
}


def check_registry(draft: ExternalRegistryDraft, *, allow_private: bool) -> None:
    """A name, and a host that images may be pulled from; raises Invalid."""
    check_title(draft.name, what="name")
    if (problem := find_host_problem(draft.endpoint, allow_private=allow_private)) is not None:
        raise Invalid(f"cannot save registry: its endpoint cannot be used: {problem}")
    if find_image_host(f"{draft.endpoint}/image") is None:
        # Engines take such a word for the first part of a name in the default registry, which would get the password.
        raise Invalid("cannot save registry: its endpoint must hold a '.' or a port, or it reads as a name of images")


def make_secret(draft: ExternalRegistryDraft) -> dict[str, str]:
    """What is kept of the sign-in, with the endpoint that it is for; empty for an anonymous one. Raises Invalid."""
    values = {}
    for field in _FIELDS[draft.auth_kind]:
        value = getattr(draft, field)
        if value is None:
            raise Invalid(f"cannot save registry: {draft.auth_kind.value} needs {field}")
        if not value.strip() or len(value) > _LIMIT or any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
            raise Invalid(f"cannot save registry: {field} has 1 to {_LIMIT} characters of one line")
        values[field] = value
    if ":" in values.get("username", ""):
        raise Invalid("cannot save registry: a username holds no ':'")
    return {_ENDPOINT: draft.endpoint, **values} if values else {}


def make_login(auth_kind: RegistryAuth, secret: Mapping[str, str], *, endpoint: str) -> RegistryLogin:
    """What to sign in with; raises Invalid when the secret is none of this kind, or was given for another endpoint."""
    if secret.get(_ENDPOINT) != endpoint or any(field not in secret for field in _FIELDS[auth_kind]):
        raise Invalid(
            f"cannot sign in to {endpoint}: what is kept was given for something else; save the registry again"
        )
    match auth_kind:
        case RegistryAuth.BASIC:
            return RegistryLogin(username=secret["username"], password=secret["password"])
        case RegistryAuth.ECR_TOKEN | RegistryAuth.GAR_TOKEN:
            return RegistryLogin(username=_USERS[auth_kind], password=secret["token"])
        case RegistryAuth.TOKEN:
            return RegistryLogin(token=secret["token"])
        case RegistryAuth.ANONYMOUS:
            return RegistryLogin()
