"""An engine that is restarted while everything runs: the adapter finds it again, and nothing of ours has stopped."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import docker
import pytest

from agent.core.faults import EngineUnavailable
from agent.host.docker.engine import DockerEngine
from agent.model.engine import EngineEvent, EventKind
from kit.clock import SystemClock
from tests.fixtures.docker import make_busybox_root
from tests.fixtures.engine import SpecMaker
from tests.waiting import eventually

# In a network of its own: a daemon without a bridge would take down the one of the machine's engine.
_DAEMON = [
    "unshare",
    "--net",
    "dockerd",
    "--live-restore",
    "--bridge=none",
    "--iptables=false",
    "--ip6tables=false",
    "--ip-forward=false",
    "--ip-masq=false",
]


class PrivateEngine:
    """A daemon of the test's own, apart from the machine's in all it keeps."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "engine.sock"
        self._folder = folder
        self._namespace = f"test-{secrets.token_hex(4)}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it answers a moment later."""
        arguments = {
            "--data-root": self._folder / "data",
            "--exec-root": self._folder / "exec",
            "--pidfile": self._folder / "pid",
            "--host": f"unix://{self.socket}",
            "--containerd-namespace": self._namespace,
            "--containerd-plugins-namespace": f"{self._namespace}-plugins",
        }
        said = [f"{name}={value}" for name, value in arguments.items()]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*_DAEMON, *said], stdout=log, stderr=log)

    def stop(self) -> None:
        """End it; its containers run on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)
            self._process = None

    def clear(self) -> None:
        """End it with all it holds."""
        client = docker.DockerClient(f"unix://{self.socket}")
        try:
            for container in client.api.containers(all=True):
                client.api.remove_container(container["Id"], force=True)
        finally:
            client.close()
            self.stop()
        # With --live-restore the daemon leaves its data mounted on itself.
        subprocess.run(["umount", self._folder / "data"], check=True)
        shutil.rmtree(self._folder)


@pytest.fixture
def private_engine() -> Iterator[PrivateEngine]:
    # A short path: the engine makes sockets below it, whose names are limited to 108 bytes.
    folder = Path(tempfile.mkdtemp(prefix="md"))
    engine = PrivateEngine(folder)
    engine.start()
    try:
        yield engine
    finally:
        engine.clear()


async def test_a_restart_of_the_engine_is_survived(private_engine: PrivateEngine, make_spec: SpecMaker) -> None:
    engine = DockerEngine(private_engine.socket, "n1", clock=SystemClock())
    await eventually(partial(answers, engine))
    image = await asyncio.to_thread(import_busybox, private_engine.socket)
    id_ = await engine.create_container(make_spec(image=image, network="none"))
    await engine.start_container(id_)
    (before,) = await engine.list_containers()

    async with contextlib.aclosing(engine.watch_events()) as watch:
        assert (await anext(watch)).kind is EventKind.RESYNC
        following = asyncio.ensure_future(anext(watch))
        await asyncio.to_thread(private_engine.stop)
        with pytest.raises(EngineUnavailable, match="is dockerd running"):
            await engine.list_containers()
        assert not following.done()
        private_engine.start()
        async with asyncio.timeout(30):
            event: EngineEvent = await following
        assert event.kind is EventKind.RESYNC
        (after,) = await engine.list_containers()
        await engine.remove_container(id_)

    assert (after.id, after.pid, after.started_at) == (before.id, before.pid, before.started_at)
    assert after.restarts == 0
    await engine.close()


async def answers(engine: DockerEngine) -> bool:
    try:
        await engine.fetch_info()
    except EngineUnavailable:
        return False
    return True


def import_busybox(socket: Path) -> str:
    client = docker.DockerClient(f"unix://{socket}")
    try:
        client.api.import_image_from_data(make_busybox_root(), repository="moorage-test/busybox", tag="1")
    finally:
        client.close()
    return "moorage-test/busybox:1"
