"""Repositories of services and jobs: what a node is told to clone, with what opens it, at the moment of the clone."""

from __future__ import annotations

from controld.core.faults import GitCredentialNotFound
from controld.core.ports import Database
from controld.core.ports_git import GitCredentialStore, TrustFiles
from controld.core.ports_secrets import SecretVault
from controld.model.git_credential import GitCredential, GitCredentialKind
from controld.model.service import GitSource
from controld.rules.known_hosts import FORGES, join_known_hosts
from controld.rules.validation_git import check_repository
from kit.faults import Invalid
from kit.git_url import GitUrl
from wire.agent.builds import CloneAsked, DeployKey, HttpsLogin


class GitSources:
    """Opens a project's credential for a clone; it lives in the ask alone."""

    def __init__(
        self,
        *,
        database: Database,
        credentials: GitCredentialStore,
        vault: SecretVault,
        trust: TrustFiles,
        allow_private_hosts: bool,
        clone_seconds: float,
    ) -> None:
        self._database = database
        self._credentials = credentials
        self._vault = vault
        self._trust = trust
        self._allow_private_hosts = allow_private_hosts
        self._clone_seconds = clone_seconds

    async def open(self, project_id: str, source: GitSource, *, ref: str) -> CloneAsked:
        """What to ask of a node.

        A credential that the project does not have leaves a clone over https anonymous. Raises GitCredentialNotFound
        and Invalid where the credential does not fit the address, and the faults of the vault.
        """
        url = check_repository(source, allow_private_hosts=self._allow_private_hosts)
        async with self._database.read() as tx:
            credential = await self._credentials.find(tx, project_id, name=source.credential)
        secret = await self._open(url, credential, name=source.credential)
        known_hosts, authorities = await self._trust.read()
        pinned = None if credential is None else credential.known_hosts
        return CloneAsked(
            repo_url=url.text,
            ref=ref,
            timeout_seconds=self._clone_seconds,
            credential=secret,
            known_hosts=join_known_hosts(FORGES, known_hosts, pinned) if url.scheme == "ssh" else "",
            authorities_pem=authorities,
            allow_private_hosts=self._allow_private_hosts,
        )

    async def _open(self, url: GitUrl, credential: GitCredential | None, *, name: str) -> DeployKey | HttpsLogin | None:
        if url.scheme != "ssh":
            if credential is None or credential.kind is not GitCredentialKind.HTTPS or url.scheme != "https":
                return None
            values = await self._vault.get(credential.project_id, credential.secret_ref)
            return HttpsLogin(username=values["username"], password=values["password"])
        if credential is None:
            raise GitCredentialNotFound(
                f"cannot clone {url.text}: the project has no deploy key named {name!r}; make one and let the "
                "repository's host know its public half"
            )
        if credential.kind is not GitCredentialKind.SSH:
            raise Invalid(f"cannot clone {url.text}: the credential {name!r} is for https, and the address is of ssh")
        values = await self._vault.get(credential.project_id, credential.secret_ref)
        return DeployKey(private_key=values["private_key"])
