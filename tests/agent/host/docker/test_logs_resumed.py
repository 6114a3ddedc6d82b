"""A viewer of a log that the engine writes and rotates on disk, who leaves anywhere and comes back, lacks nothing."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import json
import os
import random
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, NamedTuple, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.log_batch import LogBatch
from agent.core.logs import Logs
from agent.host.docker.containers import EngineContainers
from agent.host.docker.logs import EngineLogs
from agent.host.docker.session import EngineSession
from agent.model.engine import EPOCH, ContainerSpec, LoggedLine
from kit.clock import SystemClock
from kit.http.sse_parse import EventParser
from kit.tasks import Tasks
from tests.fakes.clock import FakeClock
from tests.fakes.engine import FakeEngine
from wire.agent.logs import LogLine, LogQuery

FILES = 100
NOW, LONG_AGO = 1_795_318_201_490_573, 3_600_000_000
"""In microseconds; lines of our times are read side by side, others one by one."""
SERVICE = "s-1"
SPEC = ContainerSpec(
    name="moorage-r-1",
    image="app",
    labels=(("moorage.replica", "r-1"), ("moorage.service", SERVICE), ("moorage.index", "0")),
    env=(),
    command=None,
    cpu_millis=100,
    memory_bytes=1 << 20,
    pids=10,
    network="n",
    stop_seconds=1,
)


class Disk:
    """The log files of one container, written as the engine does: two streams, stamped apart, in one file."""

    def __init__(self, folder: Path, *, usec: int = NOW) -> None:
        self.path = folder / "c-json.log"
        self.usec = usec
        self.written: list[tuple[str, str]] = []
        self.rotations = 0
        self._file = self.path.open("wb", buffering=0)

    def write(self, count: int, choose: random.Random, *, mark: str) -> None:
        """Write lines; some have the stamp of the one ahead of them, or one from a little before it."""
        for _ in range(count):
            self.usec += choose.choice([0, 0, 1, 700, 90_000])
            usec = self.usec - choose.choice([0, 0, 0, 1, 40_000])
            at = EPOCH + dt.timedelta(microseconds=usec)
            stream = choose.choice(["stdout", "stdout", "stderr"])
            text = f"{len(self.written)}{choose.choice(['', mark])}"
            said = {"log": f"{text}\n", "stream": stream, "time": f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"}
            self._file.write(json.dumps(said).encode() + b"\n")
            self.written.append((stream, text))

    def rotate(self) -> None:
        """Move every file by one place, as long as none is dropped."""
        if self.rotations == FILES - 1:
            return
        self._file.close()
        for number in reversed(range(1, self.rotations + 2)):
            older = Path(f"{self.path}.{number - 1}") if number > 1 else self.path
            older.rename(f"{self.path}.{number}")
        self.rotations += 1
        self._file = self.path.open("wb", buffering=0)

    def close(self) -> None:
        self._file.close()


class OneContainer(EngineContainers):
    """What the engine says of the container with those files, which this process seems to run in."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    async def inspect(self, container_id: str, *, doing: str) -> dict[str, Any]:
        return {
            "Id": container_id,
            "Config": {"Tty": False},
            "HostConfig": {"LogConfig": {"Type": "json-file", "Config": {"max-file": str(FILES)}}},
            "LogPath": str(self._disk.path),
            "State": {"Pid": os.getpid()},
        }


class DiskEngine(FakeEngine):
    """The fake engine, whose logs are read from real files."""

    def __init__(self, disk: Disk) -> None:
        super().__init__("n-1", clock=FakeClock())
        self.add_image("app")
        self.logs = EngineLogs(cast(EngineSession, None), OneContainer(disk), by_file=True)

    async def read_log(
        self, container_id: str, *, tail: int | None, since: dt.datetime | None, follow: bool
    ) -> AsyncGenerator[Sequence[LoggedLine]]:
        async with aclosing(self.logs.read(container_id, tail=tail, since=since, follow=follow)) as log:
            async for lines in log:
                yield lines


class Seen(NamedTuple):
    """A line as a viewer got it: events say nothing of its stream."""

    id: str
    stream: str | None
    text: str


class Viewer:
    """Reads what it is given until it has so many lines; then it has left, and the rest of its batch is lost.

    With `frames` it reads events whose ids begin with it, else records.
    """

    def __init__(self, seen: list[Seen], most: int | None, *, frames: str | None) -> None:
        self._seen = seen
        self._left = most
        self._frames = frames

    def take(self, batch: LogBatch) -> bool:
        """Whether it stays."""
        if self._frames is None:
            lines = [Seen(each.id, each.stream, each.text) for each in batch.records if isinstance(each, LogLine)]
        else:
            events = EventParser().feed(batch.frame(self._frames))
            lines = [Seen(each.id.removeprefix(self._frames), None, each.data) for each in events]
        if self._left is not None:
            lines, self._left = lines[: self._left], self._left - len(lines)
        self._seen += lines
        return self._left is None or self._left > 0


STEP = st.sampled_from(["write", "burst", "burst", "rotate", "rotate in a burst", "read", "leave", "leave"])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(STEP, min_size=2, max_size=20),
    st.sampled_from(["", "!"]),
    st.sampled_from([NOW, NOW, LONG_AGO]),
    st.integers(0, 2**32),
)
def test_the_union_of_what_a_viewer_saw_is_the_log(steps: list[str], grep: str, usec: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_view_through(steps, grep, random.Random(seed), disk=Disk(Path(folder), usec=usec)))


async def _view_through(steps: list[str], grep: str, choose: random.Random, *, disk: Disk) -> None:
    engine, tasks = DiskEngine(disk), Tasks("test")
    await engine.start_container(await engine.create_container(SPEC))
    logs = Logs(engine, tasks=tasks, clock=SystemClock())
    seen: list[Seen] = []
    arrived = asyncio.Event()

    async def view(most: int | None, frames: str | None) -> None:
        viewer = Viewer(seen, most, frames=frames)
        last = seen[-1].id if seen else None
        since = EPOCH if last is None else None
        query = LogQuery(service_id=SERVICE, since=since, after=last, follow=True, grep=grep, frames=frames)
        async with aclosing(logs.read(query)) as batches:
            async for batch in batches:
                stays = viewer.take(batch)
                arrived.set()
                if not stays:
                    return

    def choose_frames() -> str | None:
        return choose.choice([None, "node:"])

    def wanted() -> list[tuple[str, str]]:
        return [(stream, text) for stream, text in disk.written if grep in text]

    async def catch_up() -> None:
        async with asyncio.timeout(20):
            while len(seen) < len(wanted()):
                arrived.clear()
                await arrived.wait()

    watching = tasks.start("view", view(None, choose_frames()))
    for step in steps:
        match step:
            case "write":
                disk.write(1, choose, mark="!")
            case "burst":
                disk.write(choose.randrange(400), choose, mark="!")
            case "rotate":
                disk.rotate()
            case "rotate in a burst":
                for _ in range(3):
                    disk.write(choose.randrange(60), choose, mark="!")
                    disk.rotate()
            case "read":
                await catch_up()
            case _:
                await asyncio.sleep(0)
                watching.cancel()
                await asyncio.wait([watching])
                if (left := len(wanted()) - len(seen)) > 0:
                    async with asyncio.timeout(20):
                        await tasks.start("brief view", view(choose.randrange(left) + 1, choose_frames()))
                watching = tasks.start("view", view(None, choose_frames()))
    await catch_up()
    watching.cancel()
    await asyncio.wait([watching])
    disk.close()
    await tasks.close()

    assert [line.text for line in seen] == [text for _, text in wanted()]
    assert all(line.stream in {None, stream} for line, (stream, _) in zip(seen, wanted(), strict=True))
    assert (logs.followers, logs.viewers) == (0, 0)
    assert len({line.id for line in seen}) == len(seen)


def test_a_burst_has_equal_stamps_and_stamps_that_run_back(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.write(300, random.Random(1), mark="!")
    disk.close()
    stamps = [json.loads(line)["time"] for line in disk.path.read_text().splitlines()]
    assert len(set(stamps)) < len(stamps)
    assert any(later < earlier for earlier, later in itertools.pairwise(stamps))
