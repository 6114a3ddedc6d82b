"""The command itself: its options, what it reads of a machine, and a token that nobody sees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.host.facts import read_facts
from scripts.host.install import parse, plan
from scripts.host.perform import Performer
from scripts.host.places import Places
from scripts.host.release import Role
from scripts.host.steps import Command, File, Folder, Link, Note, Remove
from tests.house.tree import ROOT


def run_script(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts/install", *arguments], input=text, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["proxy"],
        ["agent", "--purge"],
        ["controld", "--join-stdin"],
        ["agent", "--uninstall", "--join-stdin"],
        ["agent", "--set", "http_port"],
        ["agent", "--set", "a-b=1"],
        ["agent", "--wheels", "/no/such/folder"],
    ],
)
def test_a_mistake_in_the_options_ends_with_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_settings_may_hold_an_equals_sign() -> None:
    options = parse(["controld", "--set", "database_url=postgresql+asyncpg://h/d?a=b", "--set", "base_domain=a.test"])
    assert dict(options.set) == {"database_url": "postgresql+asyncpg://h/d?a=b", "base_domain": "a.test"}


def test_a_dry_run_prints_the_steps_and_never_the_token() -> None:
    done = run_script("agent", "--join", "moor-s3cret", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "--token-file - < (the join token)" in done.stdout
    assert "file /etc/systemd/system/moorage-agent.service (0644, root:root)" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize("option", [["--join=moor-s3cret"], ["--join-file", "-"]])
def test_a_token_is_taken_from_an_option_or_from_standard_input(option: list[str]) -> None:
    done = run_script("agent", *option, "--dry-run", text="moor-s3cret\n")
    assert "(the join token)" in done.stdout, done.stderr


def test_an_empty_token_is_told(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("")
    done = run_script("agent", "--join-file", str(tmp_path / "token"), "--dry-run")
    assert (done.returncode, done.stderr) == (1, "error: the join token is empty\n")


def test_uninstall_without_a_role_plans_for_both() -> None:
    done = run_script("--uninstall", "--dry-run")
    assert "remove /opt/moorage/agent\n" in done.stdout
    assert "remove /opt/moorage/controld\n" in done.stdout


def place_only(places: Places, arguments: list[str]) -> list[str]:
    """Plan for a machine below `places`, do its files, links and folders, and return the other steps' kinds."""
    performer = Performer(token=None, say=lambda _: None)
    left = []
    for step in plan(parse(arguments), places):
        if isinstance(step, File) and step.group is not None:
            performer.perform(File(path=step.path, text=step.text, mode=step.mode))
        elif isinstance(step, (File, Folder, Link, Note, Remove)):
            performer.perform(step)
        else:
            left.append(type(step).__name__ + " " + (step.arguments[1] if isinstance(step, Command) else ""))
    return left


def test_a_machine_is_read_back_as_it_was_installed(tmp_path: Path) -> None:
    places = Places(top=tmp_path)
    assert read_facts(Role.CONTROLD, places).current is None
    place_only(places, ["controld"])
    facts = read_facts(Role.CONTROLD, places)
    assert facts.current is not None
    assert (facts.releases, facts.has_settings) == ((facts.current,), True)
    assert facts.running is None
    assert facts.python == sys.executable
    assert "Copy " not in place_only(places, ["controld"])


def test_uninstall_with_purge_leaves_nothing_of_ours(tmp_path: Path) -> None:
    places = Places(top=tmp_path)
    place_only(places, ["controld"])
    place_only(places, ["--uninstall", "--purge"])
    assert [path for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()] == []
