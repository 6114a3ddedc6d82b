"""Users, sessions and tokens are kept alike on both databases."""

from __future__ import annotations

import dataclasses
import datetime as dt

from controld.model.caller import TokenKind
from controld.model.change import Change
from controld.model.project import Membership
from controld.model.role import Role
from controld.model.user import ApiToken, Session
from controld.store.credentials import CredentialStore
from controld.store.engine import Database
from controld.store.projects import MemberStore, ProjectStore
from controld.store.users import UserStore
from tests.controld.store.rows import NOW, PROJECT, USER

_HOUR = dt.timedelta(hours=1)
_SESSION = Session(
    id="n1", token_sha256="1" * 64, user_id="u1", created_at=NOW, expires_at=NOW + _HOUR, last_used_at=NOW
)
_TOKEN = ApiToken(
    id="t1",
    token_sha256="2" * 64,
    user_id="u1",
    name="ci",
    created_at=NOW,
    expires_at=NOW + _HOUR,
    project_id="p1",
    role_ceiling=Role.VIEWER,
)


async def _fill(database: Database) -> None:
    async with database.write() as tx:
        await UserStore().add(tx, USER, password_hash="h")
        await ProjectStore().add(tx, PROJECT)
        await MemberStore().put(tx, Membership(user_id="u1", project_id="p1", role=Role.ADMIN))
        await CredentialStore().add_session(tx, _SESSION)
        await CredentialStore().add_token(tx, _TOKEN)


async def test_a_user_comes_back_as_they_were_kept(either_database: Database) -> None:
    await _fill(either_database)
    users = UserStore()
    async with either_database.read() as tx:
        assert await users.get(tx, "u1") == USER
        assert await users.get(tx, "u2") is None
        assert await users.list(tx) == [USER]
        assert await users.find_login(tx, "ada") == (USER, "h")
        assert await users.find_login(tx, "Ada") is None
        assert await users.count_super_admins(tx) == 1


async def test_a_password_can_be_replaced(either_database: Database) -> None:
    await _fill(either_database)
    async with either_database.write() as tx:
        await UserStore().set_password(tx, "u1", password_hash="other")
        assert await UserStore().find_login(tx, "ada") == (USER, "other")


async def test_a_user_is_made_and_unmade_a_super_admin(either_database: Database) -> None:
    await _fill(either_database)
    heard: list[Change] = []
    either_database.feed.subscribe(heard.append)
    async with either_database.write() as tx:
        await UserStore().set_super_admin(tx, "u1", is_super_admin=False)
        assert await UserStore().get(tx, "u1") == dataclasses.replace(USER, is_super_admin=False)
    assert heard == [Change("user", "u1")]


async def test_what_a_token_stands_for_is_found_with_its_users_roles(either_database: Database) -> None:
    await _fill(either_database)
    store = CredentialStore()
    async with either_database.read() as tx:
        session = await store.find(tx, "1" * 64)
        token = await store.find(tx, "2" * 64)
        assert await store.find(tx, "3" * 64) is None
    assert session is not None
    assert (session.kind, session.id, session.user) == (TokenKind.SESSION, "n1", USER)
    assert (session.project_limit, session.role_ceiling) == (None, None)
    assert token is not None
    assert (token.kind, token.project_limit, token.role_ceiling) == (TokenKind.API_TOKEN, "p1", Role.VIEWER)
    assert token.expires_at == NOW + _HOUR
    assert token.memberships == {"p1": Role.ADMIN}


async def test_sessions_and_tokens_are_listed_newest_first_and_uses_are_noted(either_database: Database) -> None:
    await _fill(either_database)
    store = CredentialStore()
    later = NOW + _HOUR / 2
    async with either_database.write() as tx:
        await store.add_session(tx, dataclasses.replace(_SESSION, id="n2", token_sha256="4" * 64, created_at=later))
        await store.touch_sessions(tx, [("n1", later, later + _HOUR), ("n2", later, later + _HOUR)])
        await store.touch_tokens(tx, [("t1", later)])
        await store.touch_sessions(tx, [])
        sessions = await store.list_sessions(tx, "u1", now=NOW)
        assert [(each.id, each.last_used_at, each.expires_at) for each in sessions] == [
            ("n2", later, later + _HOUR),
            ("n1", later, later + _HOUR),
        ]
        assert await store.list_sessions(tx, "u1", now=later + _HOUR) == []
        assert await store.list_tokens(tx, "u1") == [dataclasses.replace(_TOKEN, last_used_at=later)]


async def test_the_end_of_a_session_or_token_is_announced_by_its_hash(either_database: Database) -> None:
    await _fill(either_database)
    heard: list[Change] = []
    either_database.feed.subscribe(heard.append, kinds=["token"])
    store = CredentialStore()
    async with either_database.write() as tx:
        assert await store.delete_sessions_of(tx, "u1", but="n1") == 0
        assert await store.delete_token(tx, "t1", user_id="u2") is None
        assert await store.delete_token(tx, "t1", user_id="u1") == _TOKEN
        await store.add_token(tx, _TOKEN)
        assert await store.delete_token(tx, "t1", user_id=None) == _TOKEN
        assert await store.delete_session(tx, "n1")
        assert not await store.delete_session(tx, "n1")
        await store.add_session(tx, _SESSION)
        assert await store.delete_session_of(tx, "u2", prefix="11111111") == 0
        assert await store.delete_session_of(tx, "u1", prefix="2") == 0
        assert await store.delete_session_of(tx, "u1", prefix="11111111") == 1
    assert heard == [Change("token", "2" * 64), Change("token", "1" * 64)]


async def test_what_has_expired_is_dropped(either_database: Database) -> None:
    await _fill(either_database)
    async with either_database.write() as tx:
        assert await CredentialStore().delete_expired(tx, now=NOW) == 0
        assert await CredentialStore().delete_expired(tx, now=NOW + _HOUR) == 2


async def test_with_a_user_go_their_sessions_tokens_and_memberships(either_database: Database) -> None:
    await _fill(either_database)
    heard: list[Change] = []
    either_database.feed.subscribe(heard.append)
    async with either_database.write() as tx:
        assert await UserStore().delete(tx, "u1")
        assert not await UserStore().delete(tx, "u1")
        assert await CredentialStore().find(tx, "1" * 64) is None
        assert await CredentialStore().find(tx, "2" * 64) is None
        assert await MemberStore().list(tx, "p1") == []
    assert heard == [Change("user", "u1")]
