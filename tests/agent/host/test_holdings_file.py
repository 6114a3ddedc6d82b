"""What is known of images comes back after a start, and a damaged file costs no image."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from agent.core.faults import HoldingsNotWritten
from agent.host.holdings_file import DiskHoldings
from agent.model.images import Holdings

_SINCE = dt.datetime(2027, 1, 2, tzinfo=dt.UTC)
_HOLDINGS = Holdings(brought={"nginx:1": _SINCE}, unused={"sha256:1": _SINCE})


async def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    file = DiskHoldings(tmp_path / "agent" / "images.json")
    assert await file.read() == Holdings()
    await file.write(_HOLDINGS)
    assert await DiskHoldings(tmp_path / "agent" / "images.json").read() == _HOLDINGS


async def test_a_damaged_file_counts_as_nothing(tmp_path: Path) -> None:
    path = tmp_path / "images.json"
    path.write_text('{"brought": 1')
    assert await DiskHoldings(path).read() == Holdings()


async def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "images.json").mkdir()
    with pytest.raises(HoldingsNotWritten):
        await DiskHoldings(tmp_path / "images.json").write(_HOLDINGS)
