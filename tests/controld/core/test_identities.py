"""Callers are recognised from memory, and what changes about them counts from the next ask on."""

from __future__ import annotations

import datetime as dt

from controld.core.identities import Identities, hash_token
from controld.core.ports import Transaction
from controld.model.caller import SETUP_CALLER, CallerKind
from controld.model.change import EVERYTHING
from controld.model.role import Role
from controld.model.user import ApiToken, Credential
from controld.store.credentials import CredentialStore
from tests.controld.app import PASSWORD, SETUP_SECRET, App

_HERE = "192.0.2.1"


class _Counting(CredentialStore):
    def __init__(self) -> None:
        self.finds = 0

    async def find(self, tx: Transaction, token_sha256: str) -> Credential | None:
        self.finds += 1
        return await super().find(tx, token_sha256)


def _counting(app: App, *, limit: int = 100) -> tuple[Identities, _Counting]:
    store = _Counting()
    identities = Identities(
        database=app.database,
        credentials=store,
        feed=app.database.feed,
        clock=app.clock,
        setup_secret=SETUP_SECRET,
        session_seconds=86_400,
        session_limit_seconds=604_800,
        limit=limit,
    )
    return identities, store


async def test_a_token_is_looked_up_once_until_something_about_it_changes(app: App) -> None:
    identities, store = _counting(app)
    token = await app.token_of("ada")
    first = await identities.recognise(token, address=_HERE)
    assert await identities.recognise(token, address=_HERE) is first
    assert store.finds == 1
    elsewhere = await identities.recognise(token, address="192.0.2.2")
    assert elsewhere is not None
    assert elsewhere.address == "192.0.2.2"
    assert store.finds == 1
    app.database.feed.publish([EVERYTHING])
    await identities.recognise(token, address=_HERE)
    assert store.finds == 2


async def test_nothing_is_trusted_from_memory_while_others_cannot_be_heard(app: App) -> None:
    identities, store = _counting(app)
    token = await app.token_of("ada")
    await identities.recognise(token, address=_HERE)
    app.database.feed.is_live = False
    for _ in range(2):
        await identities.recognise(token, address=_HERE)
    assert store.finds == 3


async def test_memory_is_bounded(app: App) -> None:
    identities, store = _counting(app, limit=2)
    tokens = [await app.token_of("ada") for _ in range(3)]
    for token in [*tokens, tokens[0]]:
        await identities.recognise(token, address=_HERE)
    assert store.finds == 4


async def test_a_change_of_role_or_of_user_counts_at_once(app: App) -> None:
    project_id = await app.add_project()
    token = await app.token_of("ada", project_id=project_id, role=Role.VIEWER)
    caller = await app.identities.recognise(token, address=_HERE)
    assert caller is not None
    assert caller.user_id is not None
    assert caller.memberships == {project_id: Role.VIEWER}
    await app.members.put(SETUP_CALLER, project_id, user_id=caller.user_id, role=Role.OPERATOR)
    caller = await app.identities.recognise(token, address=_HERE)
    assert caller is not None
    assert caller.memberships == {project_id: Role.OPERATOR}
    assert caller.user_id is not None
    await app.users.delete(SETUP_CALLER, caller.user_id)
    assert await app.identities.recognise(token, address=_HERE) is None


async def test_the_setup_secret_is_a_super_admin_who_is_no_person(app: App) -> None:
    caller = await app.identities.recognise(SETUP_SECRET, address=_HERE)
    assert caller is not None
    assert (caller.kind, caller.is_super_admin, caller.user_id) == (CallerKind.BOOTSTRAP, True, None)
    assert await app.identities.recognise(SETUP_SECRET[:-1], address=_HERE) is None
    assert await app.identities.recognise("\udcff", address=_HERE) is None


async def test_a_session_slides_with_use_and_ends_after_a_week_whatever_happens(app: App) -> None:
    await app.add_user("ada")
    token = (await app.sessions.sign_in("ada", PASSWORD, address=_HERE)).token
    for _ in range(13):
        await app.clock.advance(12 * 3600)
        assert await app.identities.recognise(token, address=_HERE) is not None
    await app.clock.advance(12 * 3600)
    assert await app.identities.recognise(token, address=_HERE) is None


async def test_a_session_without_use_ends_after_a_day(app: App) -> None:
    await app.add_user("ada")
    token = (await app.sessions.sign_in("ada", PASSWORD, address=_HERE)).token
    await app.identities.recognise(token, address=_HERE)
    await app.clock.advance(86_400)
    assert await app.identities.recognise(token, address=_HERE) is None


async def test_uses_are_written_behind_and_outlive_a_restart(app: App) -> None:
    await app.add_user("ada")
    signed_in = await app.sessions.sign_in("ada", PASSWORD, address=_HERE)
    api_token = await app.token_of("ada")
    await app.clock.advance(3600)
    caller = await app.identities.recognise(signed_in.token, address=_HERE)
    await app.identities.recognise(api_token, address=_HERE)
    assert caller is not None
    before = await _tokens(app, caller.user_id)
    assert before[0].last_used_at is None
    await app.identities.write_uses()
    after = await _tokens(app, caller.user_id)
    assert after[0].last_used_at == app.clock.now()
    async with app.database.read() as tx:
        stored = await app.credential_store.find(tx, hash_token(signed_in.token))
    assert stored is not None
    assert stored.expires_at == app.clock.now() + dt.timedelta(days=1)


async def _tokens(app: App, user_id: str | None) -> list[ApiToken]:
    assert user_id is not None
    async with app.database.read() as tx:
        return await app.credential_store.list_tokens(tx, user_id)


async def test_what_has_expired_is_dropped(app: App) -> None:
    await app.add_user("ada")
    await app.sessions.sign_in("ada", PASSWORD, address=_HERE)
    assert await app.sessions.drop_expired() == 0
    await app.clock.advance(86_400)
    assert await app.sessions.drop_expired() == 1
