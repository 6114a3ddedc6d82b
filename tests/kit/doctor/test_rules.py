"""Facts of room, descriptors, time, certificates, ports and key files are judged at their limits."""

from __future__ import annotations

import datetime as dt
import stat

import pytest

from kit.doctor.findings import Finding, Verdict
from kit.doctor.rules import (
    Holder,
    Room,
    judge_certificate,
    judge_clock,
    judge_descriptors,
    judge_port,
    judge_private_file,
    judge_room,
)

GIB = 1024**3
NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


def _room(free_gib: float, *, total_gib: float = 100, free_inodes: int = 900) -> Finding:
    room = Room(
        path="/data",
        total_bytes=int(total_gib * GIB),
        free_bytes=int(free_gib * GIB),
        inodes=1000,
        free_inodes=free_inodes,
    )
    return judge_room("disk", room)


@pytest.mark.parametrize(
    ("free_gib", "free_inodes", "verdict"),
    [
        (50, 900, Verdict.OK),
        (9, 900, Verdict.WARN),
        (1.9, 900, Verdict.FAIL),
        (50, 90, Verdict.WARN),
        (50, 10, Verdict.FAIL),
    ],
)
def test_a_disk_that_fills_is_told_by_bytes_and_by_inodes(free_gib: float, free_inodes: int, verdict: Verdict) -> None:
    finding = _room(free_gib, free_inodes=free_inodes)
    assert finding.verdict is verdict
    assert (finding.mend is None) == (verdict is Verdict.OK)


def test_a_small_disk_with_less_than_a_gibibyte_free_fails_whatever_its_share() -> None:
    assert _room(0.9, total_gib=2).verdict is Verdict.FAIL


def test_a_file_system_that_counts_no_inodes_is_judged_by_bytes() -> None:
    room = Room(path="/data", total_bytes=100 * GIB, free_bytes=50 * GIB, inodes=0, free_inodes=0)
    assert judge_room("disk", room).verdict is Verdict.OK


@pytest.mark.parametrize(("limit", "verdict"), [(65_536, Verdict.OK), (20_000, Verdict.WARN), (1024, Verdict.FAIL)])
def test_a_low_limit_of_open_files_is_told(limit: int, verdict: Verdict) -> None:
    assert judge_descriptors(limit, whose="the agent").verdict is verdict


@pytest.mark.parametrize(
    ("offset", "verdict", "way"),
    [
        (0.4, Verdict.OK, "with"),
        (-5, Verdict.WARN, "behind"),
        (5, Verdict.WARN, "ahead of"),
        (-90, Verdict.FAIL, "behind"),
    ],
)
def test_a_clock_that_is_off_is_told_with_its_direction(offset: float, verdict: Verdict, way: str) -> None:
    finding = judge_clock(offset, against="controld")
    assert finding.verdict is verdict
    assert way in finding.found


@pytest.mark.parametrize(
    ("left_days", "renew_in_days", "verdict"),
    [(60, 30, Verdict.OK), (60, -2, Verdict.WARN), (5, 1, Verdict.WARN), (-1, -30, Verdict.FAIL)],
)
def test_a_certificate_is_judged_by_its_end_and_by_its_renewal(
    left_days: int, renew_in_days: int, verdict: Verdict
) -> None:
    finding = judge_certificate(
        "certificate",
        subject="it",
        not_after_at=NOW + dt.timedelta(days=left_days),
        renew_at=NOW + dt.timedelta(days=renew_in_days),
        now=NOW,
        mend="enrol again",
    )
    assert finding.verdict is verdict


@pytest.mark.parametrize(
    ("holders", "needed", "verdict"),
    [
        (None, True, Verdict.UNKNOWN),
        ([], False, Verdict.OK),
        ([], True, Verdict.FAIL),
        ([Holder(pid=7, command="/usr/sbin/haproxy -W")], True, Verdict.OK),
        ([Holder(pid=8, command="nginx: master process")], True, Verdict.FAIL),
        ([Holder(pid=None, command=None)], True, Verdict.UNKNOWN),
    ],
)
def test_a_port_is_free_ours_or_a_strangers(holders: list[Holder] | None, needed: bool, verdict: Verdict) -> None:
    finding = judge_port(80, purpose="user traffic", holders=holders, ours=("haproxy",), needed=needed)
    assert finding.verdict is verdict
    if holders and verdict is Verdict.FAIL:
        assert "nginx" in finding.found


def test_a_key_that_others_can_read_fails_with_the_command_that_mends_it() -> None:
    finding = judge_private_file("key", "/data/age.key", mode=stat.S_IFREG | 0o644, uid=0, owner=0)
    assert (finding.verdict, finding.mend) == (Verdict.FAIL, "chmod 600 /data/age.key")
    folder = judge_private_file("folder", "/data", mode=stat.S_IFDIR | 0o755, uid=0, owner=0)
    assert folder.mend == "chmod 700 /data"
    assert judge_private_file("key", "/k", mode=stat.S_IFREG | 0o600, uid=1, owner=0).verdict is Verdict.WARN
    assert judge_private_file("key", "/k", mode=stat.S_IFREG | 0o600, uid=0, owner=0).verdict is Verdict.OK
