"""Pressure, disks and interfaces of a machine, each counted once."""

from __future__ import annotations

import pytest

from agent.model.machine import Pressure, Traffic
from agent.rules.machine import parse_diskstats, parse_interfaces, parse_machine_pressure


@pytest.mark.parametrize(
    ("text", "pressure"),
    [
        (
            "some avg10=0.98 avg60=7.65 avg300=5.94 total=25693832\nfull avg10=0.00 avg60=0.00 total=7\n",
            Pressure(resource="io", some_usec=25693832, full_usec=7),
        ),
        ("some avg10=0.00 total=5\n", Pressure(resource="io", some_usec=5, full_usec=None)),
        ("", None),
        ("full avg10=0.00 total=5\n", None),
    ],
)
def test_pressure_without_its_full_half_is_told_without_it(text: str, pressure: Pressure | None) -> None:
    assert parse_machine_pressure("io", text) == pressure


def test_what_a_partition_carries_is_counted_with_its_disk() -> None:
    names = [
        "sda",
        "sda1",
        "sda12",
        "nvme0n1",
        "nvme0n1p2",
        "mmcblk0",
        "mmcblk0p1",
        "dm-0",
        "md127",
        "loop3",
        "ram0",
        "sr0",
    ]
    text = "".join(f"   8       0 {name} 10 0 3 0 20 0 5 0 0 0 0\n" for name in names)

    assert parse_diskstats(text) == tuple(
        Traffic(name=name, in_bytes=3 * 512, out_bytes=5 * 512)
        for name in ("sda", "nvme0n1", "mmcblk0", "dm-0", "md127")
    )
    assert parse_diskstats("") == ()
    assert parse_diskstats("   8       1 sda1 10 0 3 0 20 0 5 0 0 0 0\n")[0].name == "sda1"


def test_what_the_engine_makes_for_containers_is_no_interface_of_the_machine() -> None:
    head = "Inter-|   Receive                |  Transmit\n face |bytes    packets errs drop |bytes\n"
    names = ["lo", "eth0", "docker0", "br-1f3c", "veth12ab", "wg0", "bond0.12"]
    text = head + "".join(f"{name:>6}: 7 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0\n" for name in names)

    assert parse_interfaces(text) == tuple(
        Traffic(name=name, in_bytes=7, out_bytes=9) for name in ("eth0", "wg0", "bond0.12")
    )
    assert parse_interfaces("") == ()
