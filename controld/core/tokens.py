"""API tokens: made for programs by the people they act for."""

from __future__ import annotations

import dataclasses
import datetime as dt

from controld.core.audit import Audit
from controld.core.faults import ProjectNotFound, TokenNotFound
from controld.core.identities import hash_token
from controld.core.ports import Database
from controld.core.ports_identity import CredentialStore
from controld.core.ports_services import ProjectStore
from controld.model.caller import Caller
from controld.model.role import Role
from controld.model.user import ApiToken
from controld.rules.access import allows, check
from controld.rules.validation import NAME_LIMIT, check_text
from kit.clock import Clock
from kit.faults import Forbidden, Invalid
from kit.ids import Ids

PREFIX = "moor_"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A fresh token: the one time that its secret is told."""

    secret: str
    token: ApiToken


class Tokens:
    """Issues, lists and revokes the caller's own tokens; a super-admin may revoke anybody's."""

    def __init__(
        self,
        *,
        database: Database,
        credentials: CredentialStore,
        projects: ProjectStore,
        audit: Audit,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._database = database
        self._credentials = credentials
        self._projects = projects
        self._audit = audit
        self._clock = clock
        self._ids = ids

    async def create(
        self,
        caller: Caller,
        *,
        name: str,
        expires_at: dt.datetime | None = None,
        project_id: str | None = None,
        role_ceiling: Role | None = None,
    ) -> IssuedToken:
        """A token that acts for the caller within these limits."""
        user_id = _owner(caller)
        check(caller, "own.change")
        if len(name) > NAME_LIMIT:
            raise Invalid(f"cannot create token: its name is longer than {NAME_LIMIT} characters")
        check_text(name, what="name")
        now = self._clock.now()
        if expires_at is not None:
            if expires_at <= now:
                raise Invalid("cannot create token: it would have expired already")
            expires_at = _in_utc(expires_at)
        secret = PREFIX + self._ids.new_secret()
        token = ApiToken(
            id=self._ids.new_id(),
            token_sha256=hash_token(secret),
            user_id=user_id,
            name=name,
            created_at=now,
            expires_at=expires_at,
            project_id=project_id,
            role_ceiling=role_ceiling,
        )
        async with self._database.write() as tx:
            if project_id is not None:
                missing = ProjectNotFound("cannot create token: no such project")
                if await self._projects.get(tx, project_id) is None:
                    raise missing
                check(caller, "project.read", project_id=project_id, missing=missing)
            await self._credentials.add_token(tx, token)
            await self._audit.record(
                tx,
                caller,
                action="token.create",
                object_kind="token",
                object_id=token.id,
                project_id=project_id,
                details={"name": name},
            )
        return IssuedToken(secret=secret, token=token)

    async def list(self, caller: Caller) -> list[ApiToken]:
        """The caller's own tokens, newest first."""
        user_id = _owner(caller)
        check(caller, "own.change")
        async with self._database.read() as tx:
            return await self._credentials.list_tokens(tx, user_id)

    async def delete(self, caller: Caller, token_id: str) -> None:
        """Revoke one of the caller's own tokens, or as a super-admin anybody's, from now on; raises TokenNotFound."""
        user_id = _owner(caller)
        check(caller, "own.change")
        of_user = None if allows(caller, "users.change") else user_id
        async with self._database.write() as tx:
            token = await self._credentials.delete_token(tx, token_id, user_id=of_user)
            if token is None:
                raise TokenNotFound("cannot revoke token: you have none of this id")
            await self._audit.record(
                tx,
                caller,
                action="token.delete",
                object_kind="token",
                object_id=token_id,
                project_id=token.project_id,
                details={"name": token.name, "user_id": token.user_id},
            )


def _owner(caller: Caller) -> str:
    if caller.user_id is None:
        raise Forbidden("cannot use API tokens with the setup secret: sign in as a user")
    return caller.user_id


def _in_utc(moment: dt.datetime) -> dt.datetime:
    try:
        return moment.astimezone(dt.UTC)
    except OverflowError as error:
        raise Invalid("cannot create token: expires_at is past the year 9999") from error
