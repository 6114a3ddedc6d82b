"""Facts of a node are judged: control groups, engine, proxy, programs and the kernel's limits."""

from __future__ import annotations

import pytest

from agent.rules.doctor import (
    judge_cgroups,
    judge_drivers,
    judge_engine,
    judge_kernel,
    judge_program,
    judge_proxy_files,
    judge_proxy_version,
)
from kit.doctor.findings import Verdict


@pytest.mark.parametrize(
    ("controllers", "hybrid", "verdict", "word"),
    [
        ("cpuset cpu io memory pids\n", False, Verdict.OK, "version 2"),
        ("cpu pids\n", False, Verdict.WARN, "io, memory"),
        (None, True, Verdict.WARN, "hybrid"),
        (None, False, Verdict.WARN, "version 1"),
    ],
)
def test_control_groups_are_told_by_version_and_controllers(
    controllers: str | None, hybrid: bool, verdict: Verdict, word: str
) -> None:
    finding = judge_cgroups(controllers=controllers, hybrid=hybrid, folder="/sys/fs/cgroup")
    assert finding.verdict is verdict
    assert word in finding.found


@pytest.mark.parametrize(("api", "verdict"), [("1.41", Verdict.OK), ("1.52", Verdict.OK), ("1.40", Verdict.FAIL)])
def test_an_engine_that_is_too_old_fails(api: str, verdict: Verdict) -> None:
    assert judge_engine({"Version": "x", "ApiVersion": api, "MinAPIVersion": "1.12"}).verdict is verdict


def test_an_engine_whose_containers_die_with_it_or_that_copies_everything_is_warned_of() -> None:
    fine = judge_drivers({"Driver": "overlay2", "LoggingDriver": "json-file", "LiveRestoreEnabled": True})
    assert {finding.verdict for finding in fine} == {Verdict.OK}
    poor = judge_drivers({"Driver": "vfs", "LoggingDriver": "journald", "LiveRestoreEnabled": False})
    warned = {finding.check: finding.mend for finding in poor if finding.verdict is Verdict.WARN}
    assert set(warned) == {"engine storage", "engine restart"}
    assert "live-restore" in (warned["engine restart"] or "")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("HAProxy version 2.6.12-1+deb12u4 2026/01/01 - https://haproxy.org/\n", Verdict.OK),
        ("HAProxy version 3.2.0 2025/05/28\n", Verdict.OK),
        ("HA-Proxy version 2.2.9-2 2021/01/01\n", Verdict.FAIL),
        ("nginx version: 1.22\n", Verdict.FAIL),
    ],
)
def test_a_proxy_is_told_by_its_version(text: str, verdict: Verdict) -> None:
    assert judge_proxy_version(text).verdict is verdict


def test_files_that_the_proxy_refuses_fail_with_its_last_word() -> None:
    assert judge_proxy_files(status=0, words="").verdict is Verdict.OK
    refused = judge_proxy_files(status=1, words="[ALERT] parsing base.cfg:3 : unknown keyword\n\n")
    assert refused.verdict is Verdict.FAIL
    assert "unknown keyword" in refused.found


def test_a_missing_program_is_told_with_its_package() -> None:
    assert judge_program("git", path="/usr/bin/git", needed_for="clones", package="git").verdict is Verdict.OK
    missing = judge_program("ssh", path=None, needed_for="clones over ssh", package="openssh-client")
    assert (missing.verdict, missing.mend) == (Verdict.WARN, "apt-get install openssh-client")


def test_low_limits_of_the_kernel_are_told_and_unknown_ones_passed_over() -> None:
    findings = judge_kernel({"fs.inotify.max_user_instances": 128, "net.unix.max_dgram_qlen": 512})
    assert [(finding.check, finding.verdict) for finding in findings] == [
        ("fs.inotify.max_user_instances", Verdict.WARN),
        ("net.unix.max_dgram_qlen", Verdict.OK),
    ]
