"""What facts mean that every daemon of ours depends on: room, descriptors, time, certificates, ports, files of keys."""

from __future__ import annotations

import dataclasses
import datetime as dt
import stat
from collections.abc import Sequence
from typing import Final

from kit.doctor.findings import Finding, Verdict, ok, unknown

_GIB: Final = 1024**3
DESCRIPTORS: Final = 65_536
"""What our units ask for: room for eight files of each container's control group, its log and its viewers."""
_FEWEST_DESCRIPTORS: Final = 4096


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A file system's size and what is free of it for a user without privileges, in bytes and in inodes."""

    path: str
    total_bytes: int
    free_bytes: int
    inodes: int
    """0 where the file system does not count them."""
    free_inodes: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that listens; a field is None where this user may not see it."""

    pid: int | None
    command: str | None


def judge_room(check: str, room: Room) -> Finding:
    """Fails below 1 GiB, 2 % or 2 % of inodes; warns below 5 GiB, 10 % or 10 % of inodes."""
    share = room.free_bytes / room.total_bytes if room.total_bytes else 0.0
    spare_inodes = room.free_inodes / room.inodes if room.inodes else 1.0
    found = f"{room.path}: {room.free_bytes / _GIB:.1f} GiB free ({share:.0%}), {spare_inodes:.0%} of inodes free"
    if room.free_bytes < _GIB or share < 0.02 or spare_inodes < 0.02:
        verdict, means = Verdict.FAIL, "writes fail soon: deployments, logs and the database stop"
    elif room.free_bytes < 5 * _GIB or share < 0.10 or spare_inodes < 0.10:
        verdict, means = Verdict.WARN, "a few images or one burst of logs may fill it"
    else:
        return ok(check, found)
    return Finding(
        check=check, verdict=verdict, found=found, means=means, mend=f"see what is large: du -xh {room.path} | sort -h"
    )


def judge_descriptors(limit: int, *, whose: str) -> Finding:
    """Compares a process's limit of open files with what a full host needs."""
    found = f"{whose} may open {limit} files"
    if limit >= DESCRIPTORS:
        return ok("descriptors", found)
    verdict = Verdict.FAIL if limit < _FEWEST_DESCRIPTORS else Verdict.WARN
    return Finding(
        check="descriptors",
        verdict=verdict,
        found=found,
        means="with many containers or streams new ones are refused",
        mend=f"LimitNOFILE={DESCRIPTORS} in the unit (systemctl edit), or ulimit -n {DESCRIPTORS} ahead of the start",
    )


def judge_clock(offset_seconds: float, *, against: str) -> Finding:
    """Warns from 2 s, fails from 30 s; a positive offset means that this clock is ahead."""
    way = "ahead of" if offset_seconds > 0 else "behind"
    found = f"{abs(offset_seconds):.1f} s {way} {against}"
    if abs(offset_seconds) < 2:
        return ok("clock", f"with {against}, to within 2 s")
    return Finding(
        check="clock",
        verdict=Verdict.FAIL if abs(offset_seconds) >= 30 else Verdict.WARN,
        found=found,
        means="logs of several nodes merge in the wrong order, and fresh certificates and tickets may be refused",
        mend="timedatectl set-ntp true, then timedatectl timesync-status",
    )


def judge_certificate(
    check: str, *, subject: str, not_after_at: dt.datetime, renew_at: dt.datetime | None, now: dt.datetime, mend: str
) -> Finding:
    """Fails once it ran out, warns when its renewal is overdue by a day or it ends within a week."""
    left = not_after_at - now
    found = f"{subject} ends {not_after_at:%Y-%m-%d} (in {left.days} days)"
    if left <= dt.timedelta():
        found = f"{subject} ran out {not_after_at:%Y-%m-%d}"
        return Finding(check=check, verdict=Verdict.FAIL, found=found, means="peers refuse it", mend=mend)
    overdue = renew_at is not None and now - renew_at > dt.timedelta(days=1)
    if overdue or left < dt.timedelta(days=7):
        return Finding(
            check=check, verdict=Verdict.WARN, found=found, means="it should have been renewed by now", mend=mend
        )
    return ok(check, found)


def judge_port(
    port: int, *, purpose: str, holders: Sequence[Holder] | None, ours: Sequence[str], needed: bool
) -> Finding:
    """Whether the port is ours to use.

    `holders` are those who listen there, None where that cannot be seen; `ours` are words of which one stands in the
    command of a program of ours; `needed`: the daemon runs, so somebody has to listen.
    """
    check = f"port {port}"
    if holders is None:
        return unknown(check, f"cannot see who listens ({purpose})", mend="run the doctor as root")
    if not holders:
        if not needed:
            return ok(check, f"free ({purpose})")
        return Finding(
            check=check,
            verdict=Verdict.FAIL,
            found=f"nobody listens ({purpose})",
            means="what should answer there does not run, or listens elsewhere than the settings say",
            mend="see the unit's log: journalctl -u 'moorage-*' -n 50",
        )
    strangers = [each for each in holders if each.command is not None and not _is_one_of(each.command, ours)]
    if strangers:
        first = strangers[0]
        return Finding(
            check=check,
            verdict=Verdict.FAIL,
            found=f"{first.command} (process {first.pid}) listens there ({purpose})",
            means="our own program cannot",
            mend="stop that program, or choose another port in the settings",
        )
    if any(each.command is None for each in holders):
        return unknown(check, f"taken, and this user may not see by whom ({purpose})", mend="run the doctor as root")
    return ok(check, f"ours ({purpose})")


def judge_private_file(check: str, path: str, *, mode: int, uid: int, owner: int) -> Finding:
    """A file of keys is its owner's alone; `mode` as in `stat`, `owner` the user id that the daemon runs as."""
    bits = stat.S_IMODE(mode)
    found = f"{path}: mode {bits:04o}"
    if bits & 0o077:
        return Finding(
            check=check,
            verdict=Verdict.FAIL,
            found=found,
            means="other users of this machine can read keys in it",
            mend=f"chmod {'700' if stat.S_ISDIR(mode) else '600'} {path}",
        )
    if uid != owner:
        return Finding(
            check=check,
            verdict=Verdict.WARN,
            found=f"{found}, of user id {uid}, where the folder is of {owner}",
            means="the daemon may not be able to read it",
            mend=f"chown --reference=$(dirname {path}) {path}",
        )
    return ok(check, found)


def _is_one_of(command: str, words: Sequence[str]) -> bool:
    return any(word in command for word in words)
