"""Whose images a caller may pull and push."""

from __future__ import annotations

import dataclasses

from controld.core.ports import Transaction
from controld.core.registry_faults import RepositoryNotFound
from controld.core.registry_ports import RegistryStore
from controld.model.caller import Caller, CallerKind
from controld.model.registry import Repository
from controld.rules.access import allows, check
from controld.rules.registry_names import is_part
from kit.faults import Forbidden


@dataclasses.dataclass(frozen=True, slots=True)
class RepositoryName:
    """A repository as a caller names it."""

    project: str
    service: str

    def __str__(self) -> str:
        return f"{self.project}/{self.service}"


class RegistryAccess:
    """Finds repositories for callers; one that is not there and one that they may not know of read alike.

    People need a role in the project. A node may pull what its replicas or a deployment under way on it are made of,
    and push only for a deployment that is building on it.
    """

    def __init__(self, store: RegistryStore) -> None:
        self._store = store

    async def find_to_pull(self, tx: Transaction, caller: Caller, name: RepositoryName) -> Repository:
        """The repository, for reading; raises RepositoryNotFound."""
        repository = await self._find(tx, name)
        if not await self.may_pull(tx, caller, repository):
            raise _not_found(name)
        return repository

    async def may_pull(self, tx: Transaction, caller: Caller, repository: Repository) -> bool:
        """Whether the caller may read the repository, and so know of it."""
        if caller.kind is not CallerKind.NODE:
            return allows(caller, "image.pull", project_id=repository.project_id)
        return (await self._store.find_node_claims(tx, _node_of(caller), service_id=repository.service_id)).runs

    async def find_to_push(self, tx: Transaction, caller: Caller, name: RepositoryName) -> Repository:
        """The repository, for changing; raises RepositoryNotFound and Forbidden."""
        repository = await self._find(tx, name)
        if caller.kind is not CallerKind.NODE:
            check(caller, "image.push", project_id=repository.project_id, missing=_not_found(name))
            return repository
        claims = await self._store.find_node_claims(tx, _node_of(caller), service_id=repository.service_id)
        if not claims.runs:
            raise _not_found(name)
        if not claims.builds:
            raise Forbidden(f"cannot push to {name}: no deployment of it is building on this node")
        return repository

    async def _find(self, tx: Transaction, name: RepositoryName) -> Repository:
        if not (is_part(name.project) and is_part(name.service)):
            raise _not_found(name)
        repository = await self._store.find_repository(tx, name.project, service=name.service)
        if repository is None:
            raise _not_found(name)
        return repository


def _not_found(name: RepositoryName) -> RepositoryNotFound:
    return RepositoryNotFound(
        f"cannot find repository {name}: it is called <project name>/<service name>, in lowercase"
    )


def _node_of(caller: Caller) -> str:
    assert caller.node_id is not None, "a node's caller has its id"
    return caller.node_id
