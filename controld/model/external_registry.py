"""An image registry that is not ours, as a project signs in to it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum


class RegistryAuth(enum.Enum):
    """How a registry wants to be signed in to; the words are those of the contract."""

    ANONYMOUS = "anonymous"
    BASIC = "basic"
    """A user and a password."""
    TOKEN = "token"
    """A bearer token, sent as it is."""
    ECR_TOKEN = "ecr_token"
    """A password that Amazon's registry made for the user `AWS`."""
    GAR_TOKEN = "gar_token"
    """An access token for Google's registry, the password of the user `oauth2accesstoken`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExternalRegistry:
    """All of a registry that may be seen; what signs in lies in the vault under `credential_ref`."""

    id: str
    project_id: str
    name: str
    endpoint: str
    """A host, with its port where that is not 443."""
    auth_kind: RegistryAuth
    credential_ref: str | None
    """The name of its document in the vault, in the project's scope; absent when it is used anonymously."""
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ExternalRegistryDraft:
    """A registry as it is given."""

    name: str
    endpoint: str
    auth_kind: RegistryAuth
    username: str | None = None
    password: str | None = None
    token: str | None = None
