"""Git credentials are kept alike on both databases, and go with their project."""

from __future__ import annotations

import dataclasses

from controld.model.git_credential import GitCredential, GitCredentialKind
from controld.store.engine import Database
from controld.store.git_credentials import GitCredentialStore
from controld.store.projects import ProjectStore
from tests.controld.store.rows import NOW, PROJECT

_KEY = GitCredential(
    id="g1",
    project_id="p1",
    name="default",
    kind=GitCredentialKind.SSH,
    username=None,
    public_key="ssh-ed25519 AAAA x",
    fingerprint="SHA256:abc",
    known_hosts="h k v\n",
    created_at=NOW,
)
_LOGIN = dataclasses.replace(
    _KEY, id="g2", name="a", kind=GitCredentialKind.HTTPS, username="bot", public_key=None, fingerprint=None
)


async def test_a_credential_comes_back_as_it_was_kept(either_database: Database) -> None:
    store = GitCredentialStore()
    async with either_database.write() as tx:
        await ProjectStore().add(tx, PROJECT)
        await store.add(tx, _KEY)
        await store.add(tx, _LOGIN)
    async with either_database.read() as tx:
        assert await store.find(tx, "p1", name="default") == _KEY
        assert await store.find(tx, "p2", name="default") is None
        assert await store.list(tx, project_id="p1") == await store.list(tx) == [_LOGIN, _KEY]
        assert await store.list(tx, project_id="p2") == []
    async with either_database.write() as tx:
        await store.delete(tx, "g2")
        assert await store.list(tx) == [_KEY]
        await ProjectStore().delete(tx, "p1")
        assert await store.list(tx) == []


async def test_a_credential_can_have_another_name(either_database: Database) -> None:
    store = GitCredentialStore()
    async with either_database.write() as tx:
        await ProjectStore().add(tx, PROJECT)
        await store.add(tx, _KEY)
        await store.rename(tx, _KEY.id, name="other")
        assert await store.list(tx) == [dataclasses.replace(_KEY, name="other")]
