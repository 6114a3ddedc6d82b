"""Steps as they are done: files, links and folders for real, programs by a recorder."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts.host.perform import Performer, StepFailed, run_program
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
    RemoveEmpty,
)


class Programs:
    """Answers each command with what is set for its beginning, else with success and no words."""

    def __init__(self, answers: dict[tuple[str, ...], tuple[int, str]] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[tuple[str, ...]] = []
        self.given: list[str | None] = []

    def __call__(self, arguments: Sequence[str], text: str | None) -> subprocess.CompletedProcess[str]:
        asked = tuple(arguments)
        self.asked.append(asked)
        self.given.append(text)
        status, words = next((a for key, a in self.answers.items() if asked[: len(key)] == key), (0, ""))
        return subprocess.CompletedProcess(asked, status, words, "")


def make(programs: Programs | None = None, *, token: str | None = None) -> tuple[Performer, list[str]]:
    said: list[str] = []
    return Performer(token=token, say=said.append, run=programs or Programs()), said


def test_a_file_is_replaced_whole_with_its_mode_and_group(tmp_path: Path) -> None:
    performer, _ = make()
    path = tmp_path / "etc/a.toml"
    group = "nogroup" if os.geteuid() == 0 else None
    for text in ("one\n", "two\n"):
        performer.perform(File(path=path, text=text, mode=0o640, group=group))
    assert path.read_text() == "two\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [each.name for each in path.parent.iterdir()] == ["a.toml"]


def test_a_link_is_switched_and_never_takes_the_place_of_a_file(tmp_path: Path) -> None:
    performer, _ = make()
    performer.perform(Folder(path=tmp_path / "1"))
    performer.perform(Folder(path=tmp_path / "2"))
    for target in ("1", "2"):
        performer.perform(Link(path=tmp_path / "current", target=Path(target)))
    assert (tmp_path / "current").readlink() == Path("2")
    (tmp_path / "mine").write_text("")
    with pytest.raises(StepFailed, match="something else is there"):
        performer.perform(Link(path=tmp_path / "mine", target=Path("1")))


def test_copies_keep_their_places(tmp_path: Path) -> None:
    performer, _ = make()
    (tmp_path / "from/a/b").mkdir(parents=True)
    (tmp_path / "from/a/b/c.py").write_text("c")
    (tmp_path / "from/left.py").write_text("left")
    performer.perform(Copy(root=tmp_path / "from", names=("a/b/c.py",), folder=tmp_path / "to"))
    assert [path.relative_to(tmp_path / "to") for path in (tmp_path / "to").rglob("*.py")] == [Path("a/b/c.py")]


def test_what_is_gone_already_is_removed_again_without_harm_and_a_link_without_its_target(tmp_path: Path) -> None:
    performer, _ = make()
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to("kept")
    (tmp_path / "tree/a").mkdir(parents=True)
    for _ in range(2):
        for name in ("link", "tree", "never"):
            performer.perform(Remove(path=tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_folder_with_something_in_it_is_not_empty(tmp_path: Path) -> None:
    performer, _ = make()
    (tmp_path / "full/a").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    for name in ("full", "empty", "never"):
        performer.perform(RemoveEmpty(path=tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_the_token_goes_to_the_command_that_asks_and_is_never_said() -> None:
    programs = Programs()
    performer, said = make(programs, token="s3cret")
    performer.perform(Command(arguments=("agent", "join"), token=True))
    performer.perform(Command(arguments=("systemctl", "enable", "agent")))
    assert programs.given == ["s3cret", None]
    assert "s3cret" not in "".join(said) + repr(programs.asked)


def test_a_command_that_fails_ends_the_install_with_what_it_said() -> None:
    performer, _ = make(Programs({("pip",): (1, "no such wheel")}))
    with pytest.raises(StepFailed, match=r"cannot run pip \(status 1\): no such wheel"):
        performer.perform(Command(arguments=("pip", "install")))


def test_a_command_that_may_fail_is_told_and_passed() -> None:
    performer, said = make(Programs({("userdel",): (8, "still logged in")}))
    performer.perform(Command(arguments=("userdel", "moorage"), may_fail=True))
    assert "still logged in" in said[-1]


def test_a_unit_that_does_not_start_brings_the_end_of_its_journal() -> None:
    programs = Programs({("systemctl", "start"): (1, "failed"), ("journalctl",): (0, "port 80 is taken")})
    performer, _ = make(programs)
    with pytest.raises(StepFailed, match="port 80 is taken"):
        performer.perform(Command(arguments=("systemctl", "start", "moorage-haproxy.service")))
    assert programs.asked[-1][-1] == "moorage-haproxy.service"


def test_a_daemon_answers_on_the_port_that_its_settings_name(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = tmp_path / "a.toml"
        settings.write_text(f"listen_port = {listener.getsockname()[1]}\n")
        performer, _ = make()
        performer.perform(wait(settings, seconds=5))


def test_a_daemon_that_does_not_answer_in_time_brings_the_end_of_its_journal(tmp_path: Path) -> None:
    settings = tmp_path / "a.toml"
    settings.write_text("")
    performer, _ = make(Programs({("systemctl", "is-active"): (3, ""), ("journalctl",): (0, "bad settings")}))
    with pytest.raises(StepFailed, match=r"(?s)does not answer on port 1 after 0 s.*bad settings"):
        performer.perform(wait(settings, seconds=0))


def wait(settings: Path, *, seconds: float) -> Await:
    return Await(unit="a.service", settings=settings, port_setting="listen_port", default_port=1, seconds=seconds)


def test_only_a_nodes_own_containers_stop_and_nothing_is_removed_without_purge() -> None:
    programs = Programs({("docker", "ps"): (0, "c1\nc2\n")})
    performer, _ = make(programs)
    performer.perform(DropContainers(node_id="n1", purge=False))
    assert programs.asked == [
        ("docker", "ps", "-q", "--filter", "label=moorage.node=n1"),
        ("docker", "stop", "-t", "10", "c1", "c2"),
    ]


def test_purge_removes_a_nodes_containers_images_and_networks() -> None:
    programs = Programs(
        {("docker", "ps"): (0, "c1"), ("docker", "images"): (0, "i1\ni1"), ("docker", "network", "ls"): (0, "w1")}
    )
    performer, _ = make(programs)
    performer.perform(DropContainers(node_id="n1", purge=True))
    done = [asked for asked in programs.asked if "--filter" not in asked]
    assert done == [
        ("docker", "stop", "-t", "10", "c1"),
        ("docker", "rm", "-f", "-v", "c1"),
        ("docker", "rmi", "-f", "i1"),
        ("docker", "network", "rm", "w1"),
    ]


def test_words_for_the_operator_are_said() -> None:
    performer, said = make()
    performer.perform(Note(words="look there"))
    assert said == ["look there"]


def test_a_program_gets_its_input_and_a_missing_one_is_a_failure_like_any_other() -> None:
    assert run_program(("cat",), "to be read").stdout == "to be read"
    assert run_program(("cat",), None).stdout == ""
    assert run_program(("/no/such/program",), None).returncode == 127
