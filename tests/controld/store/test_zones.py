"""Time zones are found by their IANA names, and nothing else is read from the disk for them."""

from __future__ import annotations

import datetime as dt

import pytest

from controld.store.zones import ZoneFiles


async def test_a_zone_is_found_by_its_name() -> None:
    zones = ZoneFiles()
    berlin = await zones.find("Europe/Berlin")
    assert berlin is not None
    assert dt.datetime(2026, 7, 1, tzinfo=berlin).utcoffset() == dt.timedelta(hours=2)
    assert await zones.find("Europe/Berlin") is berlin
    assert await zones.find("America/Argentina/Buenos_Aires") is not None
    assert await zones.find("UTC") is dt.UTC


@pytest.mark.parametrize("name", ["", "Moon/Base", "../../etc/passwd", "/etc/localtime", "Europe", "a/b/c/d", "x" * 65])
async def test_what_is_no_zone_is_not_found(name: str) -> None:
    assert await ZoneFiles().find(name) is None
