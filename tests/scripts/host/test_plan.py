"""What an install does, step by step, for every state that a machine can be in."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import pytest

from agent.settings import Settings as AgentSettings
from controld.settings import Settings as ControldSettings
from scripts.host.facts import Engine, Facts
from scripts.host.places import UNITS, Places
from scripts.host.plan import CannotInstall, Wish, merge_live_restore, plan_install, plan_uninstall
from scripts.host.release import Release, Role, read_template
from scripts.host.steps import (
    Await,
    Command,
    Copy,
    DropContainers,
    File,
    Folder,
    Link,
    Note,
    Remove,
    Step,
    render_dry_run,
)

PLACES = Places()
NOTHING = Facts(python="/usr/bin/python3", units={})
TOKEN_STEPS = Wish(has_token=True)
S = TypeVar("S")


def release(role: Role, *, name: str = "2") -> Release:
    return Release(role=role, name=name, root=Path("/checkout"), files=("wire/version.py", f"{role}/__main__.py"))


def installed(role: Role, *, name: str = "2", running: str | None = None, **changes: object) -> Facts:
    facts = Facts(
        python="/usr/bin/python3",
        releases=(name,),
        current=name,
        running=running or name,
        units={unit: read_template(unit) for unit in UNITS[role]},
        has_settings=True,
        engine_settings='{"live-restore": true}',
        engine=Engine(answers=True, live_restore=True),
        node_id="n1" if role is Role.AGENT else None,
    )
    return dataclasses.replace(facts, **changes)  # type: ignore[arg-type]


def install(role: Role, facts: Facts, wish: Wish | None = None, *, name: str = "2") -> tuple[Step, ...]:
    return plan_install(release(role, name=name), facts, wish or Wish(), places=PLACES, read_template=read_template)


def only(kind: type[S], steps: Iterable[Step]) -> list[S]:
    return [step for step in steps if isinstance(step, kind)]


def commands(steps: Iterable[Step]) -> list[str]:
    return [" ".join(step.arguments) for step in only(Command, steps)]


def files(steps: Iterable[Step]) -> dict[str, File]:
    return {str(step.path): step for step in only(File, steps)}


@pytest.mark.parametrize("role", list(Role))
def test_a_role_gets_a_venv_with_its_own_lock_by_hashes_and_nothing_built(role: Role) -> None:
    pip = next(line for line in commands(install(role, NOTHING)) if " pip " in line)
    assert pip.startswith(f"/opt/moorage/{role}/2/venv/bin/python ")
    assert pip.endswith(f"--only-binary :all: --require-hashes -r /checkout/requirements/{role}.txt")
    assert "--no-index" not in pip


def test_wheels_in_a_folder_are_all_that_pip_looks_at() -> None:
    pip = next(line for line in commands(install(Role.AGENT, NOTHING, Wish(wheels=Path("/w")))) if " pip " in line)
    assert "--no-index --find-links /w" in pip


@pytest.mark.parametrize("role", list(Role))
def test_a_release_is_marked_complete_last_and_switched_to_after_that(role: Role) -> None:
    steps = install(role, NOTHING)
    made = [step.path for step in steps if isinstance(step, (File, Folder)) and "/opt/" in str(step.path)]
    assert made[-1] == Path(f"/opt/moorage/{role}/2/complete")
    switch = steps.index(Link(path=Path(f"/opt/moorage/{role}/current"), target=Path("2")))
    assert steps.index(files(steps)[str(made[-1])]) < switch
    starts = [i for i, step in enumerate(steps) if isinstance(step, Command) and "restart" in step.arguments]
    assert switch < min(starts, default=len(steps))


def test_a_command_starts_its_release_isolated_from_the_callers_python() -> None:
    text = files(install(Role.CONTROLD, NOTHING))["/opt/moorage/controld/2/bin/moorage-controld"].text
    assert text.startswith("#!/opt/moorage/controld/2/venv/bin/python -I\n")
    assert 'sys.path.insert(0, "/opt/moorage/controld/2/lib")' in text
    compile(text, "moorage-controld", "exec")


def test_the_command_line_comes_with_the_control_daemon() -> None:
    links = {step.path.name for step in only(Link, install(Role.CONTROLD, NOTHING))}
    assert links == {"current", "moorage-controld", "moorage"}
    assert {step.path.name for step in only(Link, install(Role.AGENT, NOTHING))} == {"current", "moorage-agent"}


def test_settings_are_what_the_daemons_know() -> None:
    for role, known in ((Role.AGENT, AgentSettings), (Role.CONTROLD, ControldSettings)):
        wish = Wish(settings={"log_level": 'de"bug'})
        written = tomllib.loads(files(install(role, NOTHING, wish))[f"/etc/moorage/{role}.toml"].text)
        assert written.pop("log_level") == 'de"bug'
        assert set(written) <= {field.name for field in dataclasses.fields(known)}


def test_settings_that_are_there_stay_and_the_operator_is_told() -> None:
    steps = install(Role.AGENT, installed(Role.AGENT), Wish(settings={"http_port": "8080"}))
    assert "/etc/moorage/agent.toml" not in files(steps)
    assert any("http_port" in note.words for note in only(Note, steps))


def test_controlds_settings_may_hold_a_database_password_and_are_read_by_its_user_only() -> None:
    made = files(install(Role.CONTROLD, NOTHING))["/etc/moorage/controld.toml"]
    assert (made.mode, made.group) == (0o640, "moorage")


def test_the_user_is_there_ahead_of_what_belongs_to_it() -> None:
    steps = install(Role.CONTROLD, NOTHING)
    user = next(i for i, step in enumerate(steps) if isinstance(step, Command) and "sysusers" in step.arguments[0])
    assert user < steps.index(files(steps)["/etc/moorage/controld.toml"])


def test_a_node_joins_by_a_token_on_standard_input_before_the_agent_starts() -> None:
    steps = install(Role.AGENT, NOTHING, TOKEN_STEPS)
    (join,) = [step for step in only(Command, steps) if step.token]
    assert join.arguments[1:] == ("join", "--config", "/etc/moorage/agent.toml", "--token-file", "-")
    agent = next(
        step
        for step in only(Command, steps)
        if step.arguments[-1] == "moorage-agent.service" and "restart" in step.arguments
    )
    proxy = Command(arguments=("systemctl", "start", "moorage-haproxy.service"))
    assert steps.index(proxy) < steps.index(join) < steps.index(agent) < steps.index(only(Await, steps)[0])


def test_a_machine_that_is_a_node_keeps_its_identity_and_the_token_its_use() -> None:
    steps = install(Role.AGENT, installed(Role.AGENT), TOKEN_STEPS)
    assert not [step for step in only(Command, steps) if step.token]
    assert any("not used" in note.words for note in only(Note, steps))


def test_without_a_token_the_agent_is_set_up_and_waits() -> None:
    steps = install(Role.AGENT, NOTHING)
    assert not only(Await, steps)
    assert not [line for line in commands(steps) if "restart" in line]
    assert "systemctl enable -q moorage-haproxy.service moorage-agent.service" in commands(steps)
    assert "waits" in only(Note, steps)[-1].words


@pytest.mark.parametrize("role", list(Role))
def test_the_same_install_again_restarts_nothing_and_builds_nothing(role: Role) -> None:
    steps = install(role, installed(role))
    assert not only(Copy, steps)
    assert not only(Remove, steps)
    assert not [line for line in commands(steps) if "restart" in line or "reload" in line or "pip" in line]
    assert f"systemctl start moorage-{role}.service" in commands(steps)


@pytest.mark.parametrize("role", list(Role))
def test_an_upgrade_restarts_the_daemon_and_never_the_proxy(role: Role) -> None:
    lines = commands(install(role, installed(role), name="3"))
    assert f"systemctl restart moorage-{role}.service" in lines
    assert not [line for line in lines if "haproxy" in line and ("restart" in line or "stop" in line)]


def test_an_upgrade_that_was_cut_short_before_its_restart_is_finished() -> None:
    steps = install(Role.AGENT, installed(Role.AGENT, running="1"))
    assert "systemctl restart moorage-agent.service" in commands(steps)
    assert not only(Copy, steps)


def test_a_unit_that_changed_is_loaded_and_its_daemon_restarted() -> None:
    facts = installed(Role.AGENT)
    units = {**facts.units, "moorage-agent.service": "[Unit]\n"}
    steps = install(Role.AGENT, dataclasses.replace(facts, units=units))
    assert [path for path in files(steps) if path.endswith(".service")] == ["/etc/systemd/system/moorage-agent.service"]
    assert commands(steps).index("systemctl daemon-reload") < commands(steps).index(
        "systemctl restart moorage-agent.service"
    )


def test_a_changed_unit_of_the_proxy_waits_for_the_operator() -> None:
    facts = installed(Role.AGENT)
    units = {**facts.units, "moorage-haproxy.service": "[Unit]\n"}
    steps = install(Role.AGENT, dataclasses.replace(facts, units=units))
    assert any("takes effect when that unit is restarted" in note.words for note in only(Note, steps))
    assert "systemctl restart moorage-haproxy.service" not in commands(steps)


def test_the_release_before_stays_to_go_back_to_and_older_ones_go() -> None:
    facts = installed(Role.CONTROLD, releases=("0", "1", "2"))
    assert [step.path.name for step in only(Remove, install(Role.CONTROLD, facts, name="3"))] == ["3", "0", "1"]
    assert only(Remove, install(Role.CONTROLD, facts)) == []


def test_going_back_to_the_release_before_builds_nothing() -> None:
    facts = installed(Role.CONTROLD, releases=("1", "2"))
    steps = install(Role.CONTROLD, facts, name="1")
    assert not only(Copy, steps)
    assert Link(path=Path("/opt/moorage/controld/current"), target=Path("1")) in steps
    assert "systemctl restart moorage-controld.service" in commands(steps)


def test_the_engine_is_reloaded_never_restarted() -> None:
    steps = install(Role.AGENT, dataclasses.replace(NOTHING, engine=Engine(answers=True)))
    assert json.loads(files(steps)["/etc/docker/daemon.json"].text) == {"live-restore": True}
    assert [line for line in commands(steps) if "docker" in line] == [
        "systemctl reload docker.service",
        "systemctl enable -q --now docker.service",
    ]


def test_an_engine_that_does_not_run_is_started_with_its_settings_in_place() -> None:
    assert [line for line in commands(install(Role.AGENT, NOTHING)) if "docker" in line] == [
        "systemctl enable -q --now docker.service"
    ]


@pytest.mark.parametrize(
    ("text", "engine", "wanted"),
    [
        (None, Engine(), {"live-restore": True}),
        ("", Engine(answers=True), {"live-restore": True}),
        (
            '{"log-driver": "local", "dns": ["10.0.0.1"]}',
            Engine(answers=True),
            {"log-driver": "local", "dns": ["10.0.0.1"], "live-restore": True},
        ),
        ('{"live-restore": false}', Engine(answers=True), None),
        ("{}", Engine(answers=True, live_restore=True), None),
        ("{}", Engine(answers=True, swarm=True), None),
    ],
    ids=["no file", "empty", "kept", "refused by the operator", "a flag has it", "swarm"],
)
def test_live_restore_is_added_only_where_it_can_be_and_nobody_decided(
    text: str | None, engine: Engine, wanted: dict[str, object] | None
) -> None:
    merged = merge_live_restore(text, engine, path=Path("/d"))
    assert (json.loads(merged) if merged else None) == wanted


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_an_unreadable_file_of_the_engine_stops_the_install_ahead_of_the_first_step(text: str) -> None:
    with pytest.raises(CannotInstall, match=r"daemon\.json"):
        install(Role.AGENT, dataclasses.replace(NOTHING, engine_settings=text))


@pytest.mark.parametrize("fresh", [True, False])
def test_the_distributions_own_proxy_unit_is_switched_off_only_where_we_brought_it(fresh: bool) -> None:
    steps = install(Role.AGENT, NOTHING, Wish(fresh_haproxy=fresh))
    assert ("systemctl disable -q --now haproxy.service" in commands(steps)) is fresh


def test_uninstall_keeps_settings_and_state_and_stops_containers() -> None:
    steps = plan_uninstall(Role.AGENT, installed(Role.AGENT), places=PLACES, purge=False)
    assert commands(steps)[0] == "systemctl disable -q --now moorage-agent.service moorage-haproxy.service"
    assert DropContainers(node_id="n1", purge=False) in steps
    removed = {str(step.path) for step in only(Remove, steps)}
    assert removed == {
        "/etc/systemd/system/moorage-agent.service",
        "/etc/systemd/system/moorage-haproxy.service",
        "/usr/local/bin/moorage-agent",
        "/opt/moorage/agent",
        "/etc/sysctl.d/60-moorage.conf",
        "/run/moorage",
    }
    assert "kept: /etc/moorage/agent.toml" in only(Note, steps)[0].words


def test_purge_takes_settings_state_and_user_too() -> None:
    removed = set()
    for role in Role:
        steps = plan_uninstall(role, installed(role), places=PLACES, purge=True)
        removed |= {str(step.path) for step in only(Remove, steps)}
    assert removed >= {
        "/etc/moorage/agent.toml",
        "/etc/moorage/controld.toml",
        "/var/lib/moorage/agent",
        "/var/lib/moorage/haproxy",
        "/var/lib/moorage/controld",
    }
    assert "userdel moorage" in commands(
        plan_uninstall(Role.CONTROLD, installed(Role.CONTROLD), places=PLACES, purge=True)
    )


def test_removing_one_role_leaves_the_other_alone() -> None:
    for role, other in ((Role.AGENT, "controld"), (Role.CONTROLD, "agent")):
        steps = plan_uninstall(role, installed(role), places=PLACES, purge=True)
        assert not [step for step in only(Remove, steps) if other in str(step.path)]


def test_uninstall_of_what_is_not_there_stops_nothing() -> None:
    steps = plan_uninstall(Role.AGENT, NOTHING, places=PLACES, purge=True)
    assert commands(steps) == ["systemctl daemon-reload"]
    assert not only(DropContainers, steps)


def test_a_dry_run_tells_every_step_with_the_text_of_files_and_no_token() -> None:
    steps = install(Role.AGENT, NOTHING, TOKEN_STEPS)
    told = render_dry_run(steps)
    assert len([line for line in told.splitlines() if not line.startswith("    | ")]) == len(steps)
    assert "    | net.unix.max_dgram_qlen = 512" in told
    assert "--token-file - < (the join token)" in told
