"""The units say what the platform promises: daemons that always come back, and user traffic that depends on none."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from agent.host.haproxy.config import HaproxyPaths
from scripts.host.places import UNITS, Places
from scripts.host.release import COMMANDS, Role, read_template
from tests.house.tree import ROOT

PLACES = Places()
ALL = [unit for units in UNITS.values() for unit in units]

# systemd.unit(5), systemd.service(5), systemd.exec(5), systemd.kill(5) of systemd 252, the oldest that we meet.
_KNOWN = {
    "Unit": {"Description", "Wants", "After", "StartLimitIntervalSec"},
    "Service": {
        "Type", "ExecStart", "ExecStartPre", "ExecReload", "Restart", "RestartSec", "RestartPreventExitStatus",
        "SuccessExitStatus", "TimeoutStopSec", "KillMode", "User", "Group", "UMask", "StateDirectory",
        "StateDirectoryMode", "RuntimeDirectory", "RuntimeDirectoryMode", "RuntimeDirectoryPreserve",
        "WorkingDirectory", "Environment", "LimitNOFILE", "OOMScoreAdjust", "NoNewPrivileges", "CapabilityBoundingSet",
        "AmbientCapabilities", "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectKernelTunables",
        "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname",
        "ProtectProc", "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID",
        "LockPersonality", "RemoveIPC", "SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber",
    },
    "Install": {"WantedBy"},
}  # fmt: skip


def read_unit(name: str) -> dict[str, dict[str, list[str]]]:
    sections: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in read_template(name).splitlines():
        if not line or line.startswith("#"):
            continue
        if opened := re.fullmatch(r"\[(\w+)\]", line):
            section = sections.setdefault(opened[1], defaultdict(list))
        else:
            key, equals, value = line.partition("=")
            assert equals, line
            section[key].append(value)
    return sections


@pytest.mark.parametrize("unit", ALL)
def test_every_key_is_one_that_the_oldest_systemd_knows_in_that_section(unit: str) -> None:
    for section, keys in read_unit(unit).items():
        assert keys.keys() <= _KNOWN[section]


@pytest.mark.parametrize("unit", ALL)
def test_a_daemon_comes_back_however_often_it_ends_and_after_a_reboot(unit: str) -> None:
    sections = read_unit(unit)
    assert sections["Unit"]["StartLimitIntervalSec"] == ["0"]
    assert sections["Service"]["Restart"] == ["always"]
    assert sections["Install"]["WantedBy"] == ["multi-user.target"]


@pytest.mark.parametrize("unit", ALL)
def test_no_daemon_is_bound_to_another(unit: str) -> None:
    assert not {"Requires", "BindsTo", "PartOf", "Requisite"} & read_unit(unit)["Unit"].keys()


@pytest.mark.parametrize("unit", ALL)
def test_every_unit_gives_up_what_it_does_not_need(unit: str) -> None:
    service = read_unit(unit)["Service"]
    for key in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "ProtectKernelModules"):
        assert service[key] == ["yes"], key
    assert service["ProtectSystem"] == ["strict"]
    assert "CapabilityBoundingSet" in service
    assert "SystemCallFilter" in service


def test_the_control_daemon_is_a_user_without_any_capability() -> None:
    service = read_unit("moorage-controld.service")["Service"]
    assert (service["User"], service["CapabilityBoundingSet"]) == (["moorage"], [""])
    assert re.match(r"u moorage ", read_template("sysusers.conf"))


def test_the_ingress_does_not_know_the_agents_unit_and_starts_without_the_agents_consent() -> None:
    sections = read_unit("moorage-haproxy.service")
    assert not [value for values in sections["Unit"].values() for value in values if "agent" in value]
    (prepare,) = sections["Service"]["ExecStartPre"]
    assert prepare.startswith("-")
    assert f"test -s {PLACES.state}/haproxy/base.cfg ||" in prepare


def test_the_sockets_outlive_either_unit() -> None:
    for unit in UNITS[Role.AGENT]:
        service = read_unit(unit)["Service"]
        assert (service["RuntimeDirectory"], service["RuntimeDirectoryPreserve"]) == (["moorage"], ["yes"])


def test_a_machine_that_is_no_node_does_not_try_for_ever() -> None:
    from agent.__main__ import EXIT_NOT_ENROLLED

    assert read_unit("moorage-agent.service")["Service"]["RestartPreventExitStatus"] == [str(EXIT_NOT_ENROLLED)]


def test_the_ingress_starts_as_the_agent_expects_it() -> None:
    paths = HaproxyPaths(state=PLACES.state / "haproxy", run=PLACES.run)
    program, mode, foreground, *rest = paths.command("/usr/sbin/haproxy")
    assert (mode, foreground) == ("-W", "-db")
    assert read_unit("moorage-haproxy.service")["Service"]["ExecStart"] == [" ".join([program, "-Ws", *rest])]


@pytest.mark.parametrize("role", list(Role))
def test_units_start_commands_of_their_own_role_through_the_current_release(role: Role) -> None:
    text = "".join(read_template(unit) for unit in UNITS[role])
    started = re.findall(r"(/opt\S+)/(\S+) \w+ --config ([^\s']+)", text)
    assert started
    for folder, command, settings in started:
        assert (folder, settings) == (f"{PLACES.current(role)}/bin", str(PLACES.settings_file(role)))
        assert command in COMMANDS[role]


def test_a_unit_is_shipped_for_every_unit_that_is_installed() -> None:
    assert sorted(path.name for path in (ROOT / "systemd").glob("*.service")) == sorted(ALL)
