"""One more node of a platform, on the same machine: an agent and a HAProxy of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from client.api import Api
from client.messages import Node
from tests.e2e.platform import ROOT, Platform
from tests.haproxy import free_port
from tests.waiting import eventually


class SecondNode:
    """A node that a test may kill and start again."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self._platform = platform
        self._folder = folder
        self._ports = {name: free_port() for name in ("listen", "loopback", "http", "https", "peer")}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.id = ""

    @property
    def ingress_url(self) -> str:
        """Where its ingress answers HTTP."""
        return f"http://127.0.0.1:{self._ports['http']}"

    @property
    def https_port(self) -> int:
        """Where its ingress answers HTTPS."""
        return self._ports["https"]

    async def join(self, api: Api) -> None:
        """Become a node of the platform, and wait until it is ready."""
        before = {node.id for node in await api.list_nodes()}
        token = (await api.make_join_token()).token
        joined = await asyncio.to_thread(self._run, "join", given=token)
        assert joined.returncode == 0, joined.stderr
        (self.id,) = {node.id for node in await api.list_nodes()} - before
        await self.start(api)

    async def start(self, api: Api) -> None:
        """Start both processes, and wait until the node is heard."""
        prepared = await asyncio.to_thread(self._run, "ingress")
        assert prepared.returncode == 0, prepared.stderr
        await asyncio.to_thread(self.launch, "haproxy")
        await asyncio.to_thread(self.launch, "agent")

        async def is_heard() -> bool:
            return (await self.see(api)).state in {"ready", "draining", "drained"}

        await eventually(is_heard, seconds=60)

    def launch(self, program: str) -> None:
        """Start one of the processes."""
        state, run = self._folder / "haproxy", self._folder / "run"
        commands = {
            "agent": [sys.executable, "-m", "agent", "run"],
            "haproxy": [
                *("haproxy", "-W", "-db", "-S", str(run / "master.sock")),
                *("-f", str(state / "base.cfg"), "-f", str(state / "pool.cfg")),
            ],
        }
        with (self._folder / f"{program}.log").open("ab") as log:
            self._processes[program] = subprocess.Popen(
                commands[program], cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )

    async def kill(self, program: str) -> None:
        """Kill -9 the process; HAProxy's worker goes with its master."""
        process = self._processes.pop(program)
        children = await asyncio.to_thread(_children, process.pid)
        for pid in (process.pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait)

    async def see(self, api: Api) -> Node:
        """The node as the platform sees it."""
        return await api.get_node(self.id)

    async def stop(self) -> None:
        """End what runs."""
        for program in list(self._processes):
            process = self._processes.pop(program)
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, 20)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)

    def tell(self) -> None:
        """Print the end of each log: pytest shows it when the test has failed."""
        for log in sorted(self._folder.glob("*.log")):
            print(f"--- second {log.name}", *log.read_text(errors="replace").splitlines()[-30:], sep="\n")

    @property
    def _environment(self) -> dict[str, str]:
        settings = {
            "data_dir": self._folder / "agent",
            "name": "second",
            "listen_host": "127.0.0.1",
            "listen_port": self._ports["listen"],
            "advertise_address": "127.0.0.1",
            "loopback_port": self._ports["loopback"],
            "haproxy_dir": self._folder / "haproxy",
            "haproxy_run_dir": self._folder / "run",
            "http_port": self._ports["http"],
            "https_port": self._ports["https"],
            "peer_port": self._ports["peer"],
            "retry_most_seconds": 1,
        }
        return os.environ | {f"MOORAGE_AGENT_{name.upper()}": str(value) for name, value in settings.items()}

    def _run(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "agent", *words],
            cwd=ROOT,
            env=self._environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextlib.asynccontextmanager
async def second_node(platform: Platform, folder: Path) -> AsyncIterator[SecondNode]:
    """The node, joined; its processes, its row and its containers are gone afterwards."""
    node = SecondNode(platform, folder)
    async with platform.api() as api:
        try:
            await node.join(api)
            yield node
            await api.delete_node(node.id, force=True)
        finally:
            node.tell()
            await node.stop()
            await asyncio.to_thread(_purge, node.id)


def _purge(node_id: str) -> None:
    if not node_id:
        return
    label = f"label=moorage.node={node_id}"
    for listed, removed in (
        (["ps", "-aq", "--filter", label], ["rm", "-f"]),
        (["network", "ls", "-q", "--filter", label], ["network", "rm"]),
    ):
        ids = subprocess.run(["docker", *listed], capture_output=True, text=True, check=True).stdout.split()
        if ids:
            subprocess.run(["docker", *removed, *ids], capture_output=True, check=False)
