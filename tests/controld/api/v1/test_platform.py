"""What the platform tells of itself over `/v1`."""

from __future__ import annotations

import pytest

from tests.controld.app import SETUP_SECRET, App, ask, bearer
from wire.link import HostReport

_SETUP = bearer(SETUP_SECRET)


@pytest.mark.parametrize("path", ["/v1/node", "/v1/metrics/node"])
async def test_numbers_of_the_host_are_for_super_admins(app: App, path: str) -> None:
    app.reports.host = HostReport(
        cpu_user_jiffies=1,
        cpu_nice_jiffies=2,
        cpu_system_jiffies=3,
        cpu_idle_jiffies=4,
        cpu_iowait_jiffies=5,
        cpu_count=2,
        memory_total_bytes=6,
        memory_available_bytes=7,
        load_1m=0.5,
        load_5m=0.25,
        load_15m=0.125,
        disk_total_bytes=8,
        disk_available_bytes=9,
        recorded_at=app.clock.now(),
    )
    plain = bearer(await app.token_of("ada"))
    async with app.serve() as http:
        _, seen = await ask(http, "GET", path, headers=_SETUP)
        assert seen["cpu"]["iowait_jiffies"] == 5
        assert seen["recorded_at"] == "2026-01-01T00:00:00Z"
        status, hidden = await ask(http, "GET", path, headers=plain)
        if path == "/v1/node":
            assert status == 200
            assert set(hidden.values()) == {None}
            assert "control_domain" in hidden
        else:
            assert status == 403


async def test_before_any_node_has_reported_the_numbers_are_null(app: App) -> None:
    async with app.serve() as http:
        assert (await ask(http, "GET", "/v1/node", headers=_SETUP))[1]["cpu"] is None
        assert (await ask(http, "GET", "/v1/metrics/node", headers=_SETUP))[0] == 503
