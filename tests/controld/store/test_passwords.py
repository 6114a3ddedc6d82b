"""Passwords are kept as argon2id hashes and checked off the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from controld.core.faults import PasswordsBusy
from controld.store.passwords import Passwords


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(memory_kib=8, rounds=1, waiting=4)
    yield made
    made.close()


async def test_a_hash_says_its_parameters_and_is_fresh_each_time() -> None:
    passwords = Passwords()
    kept = await passwords.hash("secret")
    passwords.close()
    assert kept.startswith("argon2id:$argon2id$v=19$m=47104,t=3,p=1$")


async def test_only_the_right_password_is_right(passwords: Passwords) -> None:
    kept = await passwords.hash("secret")
    assert kept != await passwords.hash("secret")
    assert await passwords.verify("secret", against=kept)
    for against in (kept[:-2], "argon2id:nonsense", "", None):
        assert not await passwords.verify("secret", against=against)
    assert not await passwords.verify("Secret", against=kept)


async def test_a_crowd_is_refused_rather_than_kept_waiting(passwords: Passwords) -> None:
    answers = await asyncio.gather(*(passwords.hash("x") for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(answer, PasswordsBusy) for answer in answers) == 15
    assert await passwords.hash("x")
