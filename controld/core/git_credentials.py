"""Git credentials of projects: given or made here, shown by their public half, opened only for a clone."""

from __future__ import annotations

import asyncio
import builtins
import dataclasses
from functools import partial
from typing import Final

from controld.core.faults import GitCredentialNotFound, NameTaken, ProjectNotFound
from controld.core.ports import Database, Transaction
from controld.core.ports_deployments import AuditTrail
from controld.core.ports_git import GitCredentialStore
from controld.core.ports_secrets import SecretVault
from controld.core.ports_services import ProjectStore
from controld.model.caller import Caller
from controld.model.git_credential import GitCredential, GitCredentialKind
from controld.rules.access import check
from controld.rules.validation_git import check_credential_name, check_https_login
from kit.clock import Clock
from kit.faults import Invalid
from kit.ids import Ids
from kit.ssh_keys import check_known_hosts, make_key, parse_key

_KNOWN_HOSTS_LIMIT: Final = 64 * 1024
_MOST_IN_A_PROJECT: Final = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GitCredentialDraft:
    """A credential as it is given: a private key, a user with a password, or neither for a key that is made here."""

    name: str
    private_key: str | None = None
    username: str | None = None
    password: str | None = None
    known_hosts: str | None = None


class GitCredentials:
    """Keeps git credentials; what is secret of them goes to the vault and to nobody who asks."""

    def __init__(
        self,
        *,
        database: Database,
        credentials: GitCredentialStore,
        projects: ProjectStore,
        vault: SecretVault,
        audit: AuditTrail,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._database = database
        self._credentials = credentials
        self._projects = projects
        self._vault = vault
        self._audit = audit
        self._clock = clock
        self._ids = ids

    async def list(self, caller: Caller, project_id: str) -> builtins.list[GitCredential]:
        """The project's credentials by name; raises ProjectNotFound."""
        async with self._database.read() as tx:
            await self._admit(tx, caller, project_id, operation="credentials.read")
            return await self._credentials.list(tx, project_id=project_id)

    async def list_all(self, caller: Caller) -> builtins.list[GitCredential]:
        """The credentials of every project, by name."""
        check(caller, "credentials.list")
        async with self._database.read() as tx:
            return await self._credentials.list(tx)

    async def create(self, caller: Caller, project_id: str, draft: GitCredentialDraft) -> GitCredential:
        """Keep a credential, or make a key; raises ProjectNotFound, NameTaken, and Invalid for what cannot be used."""
        async with self._database.read() as tx:
            await self._admit(tx, caller, project_id, operation="credentials.change")
        check_credential_name(draft.name)
        credential, secret = await self._make(project_id, draft)
        # The vault first: a row never names a secret that is not there.
        await self._vault.put(project_id, credential.secret_ref, values=secret)
        try:
            async with self._database.write() as tx:
                await tx.lock("git credentials")
                await self._admit(tx, caller, project_id, operation="credentials.change")
                known = await self._credentials.list(tx, project_id=project_id)
                if any(each.name == draft.name for each in known):
                    raise NameTaken(
                        f"cannot keep git credential: the project has one named {draft.name!r}; delete that one first"
                    )
                if len(known) >= _MOST_IN_A_PROJECT:
                    raise Invalid(f"cannot keep git credential: a project has at most {_MOST_IN_A_PROJECT}")
                await self._credentials.add(tx, credential)
                await self._record(tx, caller, "credentials.create", credential=credential)
        except BaseException:
            await asyncio.shield(self._vault.delete(project_id, credential.secret_ref))
            raise
        return credential

    async def rename(self, caller: Caller, secret_ref: str, *, name: str) -> GitCredential:
        """Let the key that is kept under `secret_ref` have this name in its project; raises Invalid and NameTaken."""
        check(caller, "credentials.name")
        check_credential_name(name)
        async with self._database.write() as tx:
            await tx.lock("git credentials")
            kept = {each.secret_ref: each for each in await self._credentials.list(tx)}
            known = kept.get(secret_ref)
            if known is None or known.kind is not GitCredentialKind.SSH:
                raise Invalid("cannot name deploy key: no key is kept under this secret_ref")
            if any(
                each.name == name and each.project_id == known.project_id for each in kept.values() if each != known
            ):
                raise NameTaken(f"cannot name deploy key: its project has another credential named {name!r}")
            credential = dataclasses.replace(known, name=name)
            await self._credentials.rename(tx, credential.id, name=name)
            await self._record(tx, caller, "credentials.rename", credential=credential)
        return credential

    async def delete(self, caller: Caller, project_id: str, *, name: str) -> None:
        """Forget a credential and its secret; raises GitCredentialNotFound."""
        async with self._database.write() as tx:
            await tx.lock("git credentials")
            await self._admit(tx, caller, project_id, operation="credentials.change")
            credential = await self._credentials.find(tx, project_id, name=name)
            if credential is None:
                raise GitCredentialNotFound("cannot find git credential: the project has none of that name")
            await self._credentials.delete(tx, credential.id)
            await self._record(tx, caller, "credentials.delete", credential=credential)
        await self._vault.delete(project_id, credential.secret_ref)

    async def _make(self, project_id: str, draft: GitCredentialDraft) -> tuple[GitCredential, dict[str, str]]:
        if draft.known_hosts is not None:
            if len(draft.known_hosts) > _KNOWN_HOSTS_LIMIT:
                raise Invalid(f"cannot keep git credential: known_hosts is longer than {_KNOWN_HOSTS_LIMIT} characters")
            check_known_hosts(draft.known_hosts)
        bare = GitCredential(
            id=self._ids.new_id(),
            project_id=project_id,
            name=draft.name,
            kind=GitCredentialKind.HTTPS,
            username=draft.username,
            public_key=None,
            fingerprint=None,
            known_hosts=draft.known_hosts,
            created_at=self._clock.now(),
        )
        if draft.username is not None or draft.password is not None:
            if draft.private_key is not None or draft.known_hosts is not None:
                raise Invalid("cannot keep git credential: give a key, or a user and password, not both")
            return bare, check_https_login(draft.username, draft.password)
        given = draft.private_key
        key = await asyncio.to_thread(make_key if given is None else partial(parse_key, given))
        public = f"{key.public_key} moorage:{draft.name}"
        credential = dataclasses.replace(
            bare, kind=GitCredentialKind.SSH, public_key=public, fingerprint=key.fingerprint
        )
        return credential, {"private_key": key.private_key}

    async def _admit(self, tx: Transaction, caller: Caller, project_id: str, *, operation: str) -> None:
        missing = ProjectNotFound("cannot find project: no such project")
        check(caller, operation, project_id=project_id, missing=missing)
        if await self._projects.get(tx, project_id) is None:
            raise missing

    async def _record(self, tx: Transaction, caller: Caller, action: str, *, credential: GitCredential) -> None:
        await self._audit.record(
            tx,
            caller,
            action=action,
            object_kind="git_credential",
            object_id=credential.id,
            project_id=credential.project_id,
            details={"name": credential.name, "kind": credential.kind.value, "fingerprint": credential.fingerprint},
        )
