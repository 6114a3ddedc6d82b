"""Block IO by device, and pressure, are read from the kernel's words of either version of cgroups."""

from __future__ import annotations

import pytest

from agent.model.metrics import DeviceIo
from agent.rules.io import parse_blkio, parse_io_stat, parse_pressure


def test_cgroup_2_tells_the_bytes_of_each_device() -> None:
    data = b"254:0 rbytes=1978368 wbytes=8392704 rios=25 wios=11 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2 rios=1\n7:0\n"

    assert parse_io_stat(data) == (
        DeviceIo(device="254:0", read_bytes=1978368, written_bytes=8392704),
        DeviceIo(device="8:16", read_bytes=1, written_bytes=2),
    )
    assert parse_io_stat(b"") == ()


def test_cgroup_1_tells_the_bytes_of_each_device_and_verb() -> None:
    data = b"8:0 Read 4096\n8:0 Write 10\n8:0 Sync 4106\n8:0 Total 4106\n8:1 Write 3\nTotal 4109\n"

    assert parse_blkio(data) == (
        DeviceIo(device="8:0", read_bytes=4096, written_bytes=10),
        DeviceIo(device="8:1", read_bytes=0, written_bytes=3),
    )


@pytest.mark.parametrize(
    ("data", "usec"),
    [
        (b"some avg10=0.37 avg60=1.46 avg300=0.49 total=1720203\nfull avg10=0.36 total=1687285\n", 1720203),
        (b"full avg10=0.36 avg60=1.44 avg300=0.49 total=1687285\n", None),
        (b"", None),
    ],
)
def test_pressure_is_the_time_in_which_some_process_waited(data: bytes, usec: int | None) -> None:
    assert parse_pressure(data) == usec
