"""Projects, members, services and hostnames are kept alike on both databases."""

from __future__ import annotations

import dataclasses

import pytest

from controld.core.faults import AlreadyExists
from controld.model.change import Change
from controld.model.project import Membership
from controld.model.role import Role
from controld.model.service import GitSource, ServiceSource, UploadSource
from controld.store.engine import Database
from controld.store.hostnames import HostnameStore
from controld.store.projects import MemberStore, ProjectStore
from controld.store.services import ServiceStore
from controld.store.users import UserStore
from tests.controld.store.rows import HOSTNAME, NOW, PROJECT, SERVICE, USER


async def _fill(database: Database) -> None:
    async with database.write() as tx:
        await UserStore().add(tx, USER, password_hash="h")
        await ProjectStore().add(tx, PROJECT)
        await ServiceStore().add(tx, SERVICE)


async def test_a_project_comes_back_as_it_was_kept_and_as_it_was_changed(either_database: Database) -> None:
    await _fill(either_database)
    store = ProjectStore()
    bare = dataclasses.replace(PROJECT, name="bare", description=None, shared_env=(), default_resource_limits=None)
    async with either_database.write() as tx:
        assert await store.get(tx, "p1") == PROJECT
        assert await store.find(tx, "shop") == PROJECT
        assert await store.count_services(tx, "p1") == 1
        await store.update(tx, bare)
        assert await store.get(tx, "p1") == bare
        assert await store.list(tx, only=["p1"]) == [bare]
        assert await store.list(tx, only=[]) == []
        assert [project.name for project in await store.list(tx)] == ["bare", "default"]


async def test_a_project_without_services_goes_with_its_memberships(either_database: Database) -> None:
    await _fill(either_database)
    heard: list[Change] = []
    async with either_database.write() as tx:
        await MemberStore().put(tx, Membership(user_id="u1", project_id="p1", role=Role.VIEWER))
        await ServiceStore().delete(tx, "s1")
    either_database.feed.subscribe(heard.append)
    async with either_database.write() as tx:
        await ProjectStore().delete(tx, "p1")
        assert await ProjectStore().get(tx, "p1") is None
        assert await MemberStore().list(tx, "p1") == []
    assert set(heard) == {Change("user", "u1"), Change("project", "p1")}


async def test_a_project_with_services_stays(either_database: Database) -> None:
    await _fill(either_database)

    async def delete() -> None:
        async with either_database.write() as tx:
            await ProjectStore().delete(tx, "p1")

    with pytest.raises(AlreadyExists):
        await delete()


async def test_a_member_has_one_role_at_a_time(either_database: Database) -> None:
    await _fill(either_database)
    store = MemberStore()
    async with either_database.write() as tx:
        for role in (Role.VIEWER, Role.ADMIN):
            await store.put(tx, Membership(user_id="u1", project_id="p1", role=role))
        assert await store.get(tx, "p1", user_id="u1") == Membership(user_id="u1", project_id="p1", role=Role.ADMIN)
        assert len(await store.list(tx, "p1")) == 1
        assert await store.remove(tx, "p1", user_id="u1")
        assert not await store.remove(tx, "p1", user_id="u1")
        assert await store.get(tx, "p1", user_id="u1") is None


_GIT = GitSource(repo_url="r", git_ref="main", dockerfile_path="D", context_path=".", credential="c")


@pytest.mark.parametrize("source", [SERVICE.source, UploadSource(), _GIT])
async def test_a_service_comes_back_as_it_was_kept(either_database: Database, source: ServiceSource) -> None:
    service = dataclasses.replace(SERVICE, source=source, scaled_to=2)
    store = ServiceStore()
    async with either_database.write() as tx:
        await ProjectStore().add(tx, PROJECT)
        await store.add(tx, service)
        assert await store.get(tx, "s1") == service
        assert await store.find(tx, "p1", name="web") == service
        assert await store.find(tx, "p1", name="api") is None
        bare = dataclasses.replace(service, resource_limits=None, autoscale=None, endpoints=(), env=(), domains=())
        await store.update(tx, bare)
        assert await store.list(tx, projects=["p1"]) == [bare]
        assert await store.list(tx) == [bare]
        assert await store.list(tx, projects=[]) == []


async def test_a_hostname_comes_back_and_is_told_with_its_service_until_that_is_deleted(
    either_database: Database,
) -> None:
    await _fill(either_database)
    store = HostnameStore()
    pending = dataclasses.replace(
        HOSTNAME, id="h2", hostname="a.example.com", assigned=False, challenge_token="d" * 64, last_error=None
    )
    async with either_database.write() as tx:
        await store.add(tx, HOSTNAME)
        await store.add(tx, pending)
        assert await store.find(tx, HOSTNAME.hostname) == HOSTNAME
        assert await store.list(tx, "s1") == [HOSTNAME, pending]
        stored = await ServiceStore().get(tx, "s1")
        assert stored is not None
        assert stored.assigned_hostname == HOSTNAME.hostname
        assert stored.created_at == NOW
        await ServiceStore().delete(tx, "s1")
        assert await store.find(tx, HOSTNAME.hostname) is None
        assert await ServiceStore().get(tx, "s1") is None
