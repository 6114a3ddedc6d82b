"""Consoles in real containers: shells that work, and that leave nothing however they end."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest

from agent.core.consoles import Consoles
from agent.core.faults import ConsoleExists, ConsoleGone, ConsolesFull, ContainerNotRunning, ShellMissing
from agent.host.docker.engine import DockerEngine
from tests.agent.console_world import (
    KeepingViewer,
    begin,
    end_of,
    enter,
    find_commands,
    gone,
    list_records,
    make_consoles,
    read_marked,
    settled,
    sit_down,
)
from tests.fixtures.engine import SpecMaker
from tests.garbage import counting_garbage
from tests.waiting import eventually
from wire.agent.consoles import ConsoleBegin

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
async def container(real_engine: DockerEngine, make_spec: SpecMaker) -> str:
    id_ = await real_engine.create_container(make_spec(pids=256))
    await real_engine.start_container(id_)
    return id_


@pytest.fixture
async def consoles(real_engine: DockerEngine, container: str, tmp_path: Path) -> AsyncIterator[Consoles]:
    del container
    made = make_consoles(real_engine, tmp_path / "consoles", at_once=3)
    yield made
    await made.close()


async def test_a_shell_answers_in_the_replicas_environment_as_root_with_the_terminals_size(
    consoles: Consoles, tmp_path: Path
) -> None:
    session, viewer = await enter(consoles, "c-1")
    session.write(viewer, b"echo $(id -u) $TERM; stty size; pwd\n")
    await viewer.until(rb"0 xterm-256color\r\n30 100\r\n/\r\n")

    await session.resize(viewer, cols=77, rows=11)
    session.write(viewer, b"stty size\n")
    await viewer.until(rb"11 77\r\n")

    assert session.shell.program == "/bin/sh"
    assert list_records(tmp_path / "consoles") == ["c-1.json"]


async def test_the_shells_own_end_is_told_with_its_code_and_nothing_is_kept(consoles: Consoles, tmp_path: Path) -> None:
    session, viewer = await enter(consoles, "c-1")
    session.write(viewer, b"exit 7\n")
    await asyncio.wait_for(session.over.wait(), 10)

    assert viewer.ended is not None
    assert (viewer.ended.how, viewer.ended.exit_code) == ("exited", 7)
    session.detach(viewer)
    await eventually(lambda: list_records(tmp_path / "consoles") == [])


async def test_a_console_ends_with_its_container(consoles: Consoles, real_engine: DockerEngine, container: str) -> None:
    session, _ = await enter(consoles, "c-1")
    await real_engine.stop_container(container, grace_seconds=0)
    assert (await end_of(session)).how == "exited"


async def test_a_signal_is_told_as_128_and_its_number(consoles: Consoles) -> None:
    session, viewer = await enter(consoles, "c-1")
    session.write(viewer, b"kill -9 $$\n")
    await asyncio.wait_for(session.over.wait(), 10)

    assert viewer.ended is not None
    assert viewer.ended.exit_code == 137


async def test_nothing_that_a_console_started_outlives_it(consoles: Consoles) -> None:
    session, viewer = await enter(consoles, "c-1")
    commands = (
        "sleep 1001 &",
        "sh -c 'trap \"\" HUP; exec sleep 1002' &",
        "setsid sleep 1003 &",
        "(setsid sh -c 'sleep 1004 & sleep 1005' &);",
        "sh -c 'trap \"\" HUP TERM; sleep 1006; sleep 1007' &",
        "env -i /bin/sleep 1008 &",
        "sleep 0.5; echo al''l",
    )
    session.write(viewer, " ".join(commands).encode() + b"\n")
    await viewer.until(rb"all")
    started = [*read_marked("c-1"), session.shell.leader.pid]
    ours = find_commands(rb"sleep\x00100[1-8]\x00")
    assert len(ours) == 7

    await asyncio.wait_for(consoles.end("c-1", how="closed"), 12)

    assert await gone([*started, *ours], seconds=0)


async def test_a_shell_ends_at_once_when_it_is_closed(consoles: Consoles) -> None:
    session, viewer = await enter(consoles, "c-1")
    session.write(viewer, b"yes >/dev/null\n")
    await asyncio.wait_for(consoles.end("c-1", how="closed"), 2)

    assert await gone([session.shell.leader.pid], seconds=0)
    ended = await end_of(session)
    assert (ended.how, ended.exit_code) == ("closed", 129)


async def test_who_comes_back_is_shown_what_was_missed_and_the_former_is_told(consoles: Consoles) -> None:
    session, first = await enter(consoles, "c-1")
    session.write(first, b"echo on''e\n")
    await first.until(rb"one\r\n")
    second = KeepingViewer()

    position, missed = consoles.find("c-1").attach(second, received=None)
    session.write(first, b"echo not heard\n")
    session.write(second, b"echo tw''o\n")
    await second.until(rb"two\r\n")
    third = KeepingViewer()
    _, exact = session.attach(third, received=position + len(missed))

    assert first.was_taken
    assert b"one\r\n" in missed
    assert exact == b"two\r\n"


async def test_a_console_that_nobody_comes_back_to_ends_after_its_grace(consoles: Consoles) -> None:
    session, viewer = await enter(consoles, "c-1", begin(grace_seconds=2))
    session.detach(viewer)
    await asyncio.sleep(0.2)
    assert not session.over.is_set()

    assert (await end_of(session)).how == "abandoned"
    with pytest.raises(ConsoleGone):
        await eventually(lambda: consoles.find("c-1") is None)


@pytest.mark.parametrize(
    ("limited", "how"), [(begin(idle_seconds=1.5), "idle"), (begin(limit_seconds=1.5), "limit")], ids=["idle", "limit"]
)
async def test_a_console_lasts_no_longer_than_it_may(consoles: Consoles, limited: ConsoleBegin, how: str) -> None:
    session, _ = await enter(consoles, "c-1", limited)

    assert (await end_of(session)).how == how


async def test_a_console_that_ended_unseen_can_still_be_read(consoles: Consoles) -> None:
    session, viewer = await enter(consoles, "c-1")
    session.detach(viewer)
    session.shell.write(b"echo las''t; exit 3\n")
    await asyncio.wait_for(session.over.wait(), 10)

    found = consoles.find("c-1")
    _, missed = found.attach(KeepingViewer(), received=None)

    assert b"last" in missed
    assert found.ended is not None
    assert found.ended.exit_code == 3


async def test_a_viewer_that_takes_nothing_holds_the_shell_back(consoles: Consoles) -> None:
    session, viewer = await enter(consoles, "c-1")
    viewer.is_full = True
    session.write(viewer, b"yes 0123456789012345678901234567890123456789\n")
    held = await settled(viewer)
    assert held < 256 * 1024

    viewer.make_room()
    await eventually(lambda: len(viewer.shown) > held)


async def test_a_paste_of_a_megabyte_arrives_whole(consoles: Consoles) -> None:
    session, viewer = await enter(consoles, "c-1")
    session.write(viewer, b"stty raw; echo g''o; head -c 1000000 | md5sum; stty -raw\n")
    await viewer.until(rb"go")
    pasted = os.urandom(500_000).hex().encode()
    session.write(viewer, pasted)
    await viewer.until(hashlib.md5(pasted, usedforsecurity=False).hexdigest().encode())
    assert viewer.pauses > 0


async def test_bytes_go_through_a_console_without_a_terminal_as_they_are(consoles: Consoles) -> None:
    session, viewer = await sit_down(consoles, "c-1", begin(tty=False))
    await session.resize(viewer, cols=77, rows=11)
    session.write(viewer, b"echo to stderr >&2\n")
    await viewer.until(rb"^to stderr\n")
    session.write(viewer, b"tty; echo ${TERM-none}; exec cat\n")
    await viewer.until(rb"^not a tty\nnone\n")
    sent = os.urandom(300_000)
    session.write(viewer, sent)
    session.end_input(viewer)
    ended = await end_of(session)
    assert (ended.how, ended.exit_code) == ("exited", 0)
    assert bytes(viewer.shown) == sent


async def test_a_console_without_a_terminal_is_held_back_and_leaves_nothing(consoles: Consoles) -> None:
    session, viewer = await sit_down(consoles, "c-1", begin(tty=False))
    viewer.is_full = True
    session.write(viewer, b"setsid sleep 1001 & exec yes 0123456789012345678901234567890123456789\n")
    await viewer.until(rb"0123456789\n")
    await settled(viewer)
    viewer.make_room()
    await viewer.until(rb"(?:[0-9]{40}\n){10000}")

    marked = read_marked("c-1")
    assert len(marked) == 2
    session.end("closed")
    assert (await end_of(session)).how == "closed"
    assert await gone(marked, seconds=2)


async def test_past_the_most_consoles_those_without_a_viewer_give_way(consoles: Consoles) -> None:
    entered = [await enter(consoles, f"c-{number}") for number in range(3)]
    with pytest.raises(ConsolesFull):
        await consoles.begin("c-3", begin())
    entered[1][0].detach(entered[1][1])

    await enter(consoles, "c-4")

    assert consoles.running == consoles.connected == 3
    assert entered[1][0].ended is not None
    with pytest.raises(ConsoleExists):
        await consoles.begin("c-4", begin())


async def test_a_replica_that_does_not_run_has_no_console(consoles: Consoles) -> None:
    with pytest.raises(ContainerNotRunning):
        await consoles.begin("c-1", begin("r-2"))


@pytest.fixture
def bare_image(docker_engine: docker.DockerClient, tmp_path: Path) -> Iterator[str]:
    """An image with one program that is no shell."""
    source = tmp_path / "context"
    source.mkdir()
    (source / "sleep").write_bytes(Path("/bin/busybox").read_bytes())
    (source / "sleep").chmod(0o755)
    (source / "Dockerfile").write_text('FROM scratch\nCOPY sleep /sleep\nENTRYPOINT ["/sleep", "600"]\n')
    image, _ = docker_engine.images.build(path=str(source), rm=True)
    assert image.id is not None
    yield image.id
    docker_engine.images.remove(image.id, force=True)


async def test_an_image_without_a_shell_says_so(
    bare_image: str, real_engine: DockerEngine, make_spec: SpecMaker, tmp_path: Path
) -> None:
    spec = make_spec(image=bare_image, command=None, labels=(("moorage.replica", "r-9"),))
    container = await real_engine.create_container(spec)
    try:
        await real_engine.start_container(container)
        consoles = make_consoles(real_engine, tmp_path / "consoles")
        tried = r"no shell.*tried /bin/bash, /bin/sh, /bin/busybox sh.*executable file not found"
        for tty in (True, False):
            with pytest.raises(ShellMissing, match=tried):
                await consoles.begin("c-1", begin("r-9", tty=tty))
        await consoles.close()
        assert list_records(tmp_path / "consoles") == []
    finally:
        await real_engine.remove_container(container)


async def test_what_a_killed_agent_left_ends_at_the_next_start(
    real_engine: DockerEngine, container: str, engine_node_id: str, tmp_path: Path
) -> None:
    del container
    script = textwrap.dedent(f"""
        import asyncio, os, signal
        from pathlib import Path
        from agent.host.docker.engine import DockerEngine
        from kit.clock import SystemClock
        from tests.agent.console_world import await_marked, enter, make_consoles

        async def main():
            engine = DockerEngine(Path("/var/run/docker.sock"), {engine_node_id!r}, clock=SystemClock())
            session, viewer = await enter(make_consoles(engine, Path({str(tmp_path)!r})), "c-left")
            session.write(viewer, b"setsid sleep 1000 & sleep 1000\\n")
            await await_marked("c-left", count=3)
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """)
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", script, cwd=ROOT)
    assert await asyncio.wait_for(killed.wait(), 30) == -signal.SIGKILL
    left = read_marked("c-left")
    assert len(left) >= 3

    consoles = make_consoles(real_engine, tmp_path)
    await consoles.recover()

    assert await gone(left, seconds=0)
    assert list_records(tmp_path) == []


async def test_a_console_that_is_over_leaves_nothing_to_the_garbage_collector(consoles: Consoles) -> None:
    with counting_garbage() as found:
        for number in range(2):
            session, viewer = await enter(consoles, f"c-{number}")
            session.detach(viewer)
            await consoles.end(f"c-{number}", how="closed")
        await asyncio.sleep(0.1)
    ours = {"ConsoleSession", "ExecShell", "ExecStream", "Replay", "Valve"}
    assert {name: count for name, count in found.items() if name in ours} == {}
