"""A running HAProxy and two upstreams for the tests of its driver."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.haproxy import RunningHaproxy, Upstream, running_haproxy, upstreams


@pytest.fixture
async def haproxy() -> AsyncIterator[RunningHaproxy]:
    async with running_haproxy() as running:
        yield running


@pytest.fixture
async def pair() -> AsyncIterator[list[Upstream]]:
    async with upstreams("r1", "r2") as started:
        yield started
