"""The fake consoles of nodes behave as those of an agent that is asked over mutual TLS, in real containers."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.api.consoles import ConsoleRows
from agent.api.surface import make_control_surface
from agent.host.docker.engine import DockerEngine
from controld.core.faults import NodeOffline
from controld.core.ports_consoles import ConsoleAgents, ConsoleLine
from controld.gateways.agents import AgentCalls
from controld.model.caller import SETUP_CALLER
from controld.model.node import Node
from controld.store.engine import Database
from kit.clock import SystemClock
from kit.http.server import Server
from kit.ids import SystemIds
from kit.tasks import Tasks
from tests.agent.console_world import begin, make_consoles
from tests.controld.deploying import make_node
from tests.fakes.consoles import FakeConsoleAgents
from tests.fixtures.engine import SpecMaker
from tests.nodeside import make_agent, node_side
from wire.agent.consoles import (
    ConsoleEnd,
    ConsoleEnded,
    ConsoleFailed,
    ConsoleInputEnd,
    ConsoleReady,
    ConsoleResize,
    ConsoleResume,
    ConsoleTaken,
    ConsoleWord,
)

ONE, TWO = (f"00000000-0000-7000-8000-{number:012}" for number in (1, 2))


@dataclasses.dataclass
class Seat:
    """A line, where what it told began, what that was, and the agent's next word."""

    line: ConsoleLine
    position: int
    shown: bytearray = dataclasses.field(default_factory=bytearray)
    word: asyncio.Future[ConsoleWord] = dataclasses.field(init=False)

    async def shows(self, text: bytes) -> bool:
        """Whether the text comes to be shown."""
        for _ in range(200):
            if text in self.shown:
                return True
            await asyncio.sleep(0.05)
        return False

    async def leave(self) -> None:
        """Close the line."""
        await self.line.close()
        self.word.cancel()
        await asyncio.wait([self.word])


@dataclasses.dataclass
class Site:
    """Agents, and the node that is asked."""

    agents: ConsoleAgents
    node: Node

    async def ready(self, console_id: str, resume: ConsoleResume | None = None, *, tty: bool = True) -> Seat:
        """A line that is ready."""
        line = await self.agents.open_console(self.node, console_id, resume or begin(tty=tty))
        word = await line.receive()
        assert isinstance(word, ConsoleReady)
        seat = Seat(line, word.position)
        line.listen(seat.shown.extend)
        seat.word = asyncio.ensure_future(line.receive())
        return seat

    async def is_listed(self, console_id: str, met: Callable[[bool, ConsoleEnded | None], bool]) -> bool:
        """Whether the node's list comes to hold such a console."""
        for _ in range(200):
            for state in await self.agents.list_consoles(self.node):
                if state.id == console_id and met(state.is_connected, state.ended):
                    return True
            await asyncio.sleep(0.05)
        return False


@pytest.fixture(params=["fake", "real"])
async def site(
    request: pytest.FixtureRequest, database: Database, real_engine: DockerEngine, make_spec: SpecMaker, tmp_path: Path
) -> AsyncIterator[Site]:
    if request.param == "fake":
        yield Site(FakeConsoleAgents(), make_node("n-1"))
        return
    await real_engine.start_container(await real_engine.create_container(make_spec()))
    async with _real(database, real_engine, tmp_path) as made:
        yield made


@asynccontextmanager
async def _real(database: Database, engine: DockerEngine, folder: Path) -> AsyncIterator[Site]:
    async with node_side(database, folder / "authority") as side:
        agent, tasks = make_agent(folder / "agent"), Tasks("agent")
        await agent.enrolment.enrol(await side.token(), name="vm1", port=7190)
        consoles = make_consoles(engine, folder / "consoles")
        server = Server(
            [make_control_surface(*ConsoleRows(consoles, clock=SystemClock()).routes())],
            host="127.0.0.1",
            port=0,
            ids=SystemIds(),
            tasks=tasks,
            ssl=await agent.files.make_server_context(),
        )
        await server.start()
        calls = AgentCalls(await side.authority_files.make_client_context())
        (node,) = await side.nodes.list(SETUP_CALLER)
        yield Site(calls, dataclasses.replace(node, port=server.port))
        await calls.close()
        await server.stop(1)
        await consoles.close()
        await tasks.close()


async def test_what_is_typed_comes_back_and_an_end_that_is_asked_for_is_told(site: Site) -> None:
    seat = await site.ready(ONE)
    assert seat.position == 0
    seat.line.say(ConsoleResize(cols=50, rows=10))
    seat.line.write(b"echo typed\n")
    assert await seat.shows(b"typed")
    seat.line.say(ConsoleEnd(how="closed"))
    word = await seat.word
    assert isinstance(word, ConsoleEnded)
    assert (word.how, word.exit_code) == ("closed", 129)
    await seat.leave()
    assert await site.is_listed(ONE, lambda _, ended: ended is not None and ended.how == "closed")


async def test_the_end_of_its_input_ends_a_shell_without_a_terminal_alone(site: Site) -> None:
    for id_, tty in ((ONE, True), (TWO, False)):
        seat = await site.ready(id_, tty=tty)
        seat.line.say(ConsoleInputEnd())
        seat.line.write(b"echo typed\n")
        if tty:
            assert await seat.shows(b"typed")
            await site.agents.end_console(site.node, id_)
        word = await seat.word
        assert isinstance(word, ConsoleEnded)
        assert (word.how, word.exit_code) == (("evicted", 129) if tty else ("exited", 0))
        await seat.leave()


async def test_a_line_that_is_closed_leaves_the_console_to_be_come_back_to(site: Site) -> None:
    first = await site.ready(ONE)
    first.line.write(b"echo before\n")
    assert await first.shows(b"before")
    await asyncio.sleep(0.3)  # a shell says some more after that
    await first.leave()
    await first.leave()
    assert await site.is_listed(ONE, lambda is_connected, ended: not is_connected and ended is None)

    second = await site.ready(ONE, ConsoleResume(cols=80, rows=24, received=len(first.shown)))
    second.line.write(b"echo after\n")
    assert second.position == len(first.shown)
    assert await second.shows(b"after")
    assert b"before" not in second.shown
    await second.leave()

    third = await site.ready(ONE, ConsoleResume(cols=80, rows=24))
    assert third.position == 0
    assert await third.shows(b"after")
    assert b"before" in third.shown
    await third.leave()
    await site.agents.end_console(site.node, ONE)


async def test_another_line_takes_the_console(site: Site) -> None:
    first = await site.ready(ONE)
    second = await site.ready(ONE, ConsoleResume(cols=80, rows=24))
    assert isinstance(await first.word, ConsoleTaken)
    await first.leave()
    assert await site.is_listed(ONE, lambda is_connected, _: is_connected)
    await site.agents.end_console(site.node, ONE)
    word = await second.word
    assert isinstance(word, ConsoleEnded)
    assert word.how == "evicted"
    await second.leave()


async def test_what_is_not_there_cannot_be_come_back_to_and_ends_without_a_word(site: Site) -> None:
    line = await site.agents.open_console(site.node, TWO, ConsoleResume(cols=80, rows=24))
    word = await line.receive()
    assert isinstance(word, ConsoleFailed)
    assert word.code == "console_gone"
    await line.close()
    await site.agents.end_console(site.node, TWO)
    assert await site.agents.list_consoles(site.node) == ()


async def test_a_node_that_is_away_is_offline(site: Site) -> None:
    if isinstance(site.agents, FakeConsoleAgents):
        site.agents.silent_nodes.add(site.node.id)
    away = dataclasses.replace(site.node, port=1)
    with pytest.raises(NodeOffline):
        await site.agents.open_console(away, ONE, begin())
    with pytest.raises(NodeOffline):
        await site.agents.list_consoles(away)
    with pytest.raises(NodeOffline):
        await site.agents.end_console(away, ONE)
