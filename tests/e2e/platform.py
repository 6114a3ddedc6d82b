"""A whole platform of real processes, as `scripts/up` starts it, and what tests do with it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from client.api import Api
from client.messages import Deployment, Service
from kit.archive.pack import pack
from scripts.local.places import Places, Ports, read_ports
from scripts.local.supervision import Supervisor
from tests.consoles import Place
from tests.waiting import eventually

ROOT: Final = Path(__file__).resolve().parents[2]
_BUSYBOX: Final = Path("/bin/busybox")
_DOCKERFILE: Final = """FROM scratch
COPY busybox /bin/busybox
COPY busybox /bin/sh
COPY www /www
CMD ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]
"""
_TICKS: Final = """#!/bin/sh
printf 'Content-Type: text/event-stream\\r\\n\\r\\n'
n=0
while [ "$n" -lt 600 ]; do
  printf 'data: %s\\n\\n' "$n"
  n=$((n + 1))
  /bin/busybox sleep 0.1
done
"""
_BURN: Final = """#!/bin/sh
n=0
while [ "$n" -lt 20000 ]; do n=$((n + 1)); done
printf 'Content-Type: text/plain\\r\\n\\r\\nburnt'
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Platform:
    """One platform that runs; its state folder, its ports and its administrator's token."""

    places: Places
    ports: Ports
    token: str
    node_id: str

    @property
    def api_url(self) -> str:
        """Where `/v1` is."""
        return f"http://127.0.0.1:{self.ports.api}"

    @property
    def ingress_url(self) -> str:
        """Where ingress answers HTTP."""
        return f"http://127.0.0.1:{self.ports.http}"

    def api(self) -> Api:
        """A client as the administrator."""
        return Api(self.api_url, token=self.token)

    def pid(self, program: str) -> int:
        """Process id of `controld`, `agent` or `haproxy` now; 0 while it is down."""
        return Supervisor(self.places).pid(program)

    async def kill(self, program: str) -> int:
        """Kill -9 the program and return the process id it had."""
        pid = await asyncio.to_thread(self.pid, program)
        assert pid > 0, f"{program} does not run"
        os.kill(pid, signal.SIGKILL)
        return pid

    async def await_back(self, program: str, killed: int) -> None:
        """Wait until another process of that program runs and answers on its port."""
        ports = {"controld": self.ports.api, "agent": self.ports.agent, "haproxy": self.ports.http}

        async def is_back() -> bool:
            pid = await asyncio.to_thread(self.pid, program)
            return pid not in {0, killed} and await is_listening(ports[program])

        await eventually(is_back, seconds=30)

    async def await_ready(self) -> None:
        """Wait until controld answers and says that a node is ready."""
        async with self.api() as api:

            async def is_ready() -> bool:
                return await api.is_healthy() and any(node.state == "ready" for node in await api.list_nodes())

            await eventually(is_ready, seconds=60)

    async def containers(self, *, service_id: str | None = None) -> dict[str, tuple[str, int]]:
        """Every container of this node by id, with the moment it was started and how often the engine restarted it."""
        return await asyncio.to_thread(self._containers, service_id)

    def _containers(self, service_id: str | None) -> dict[str, tuple[str, int]]:
        filters = ["--filter", f"label=moorage.node={self.node_id}"]
        if service_id is not None:
            filters += ["--filter", f"label=moorage.service={service_id}"]
        while ids := docker("ps", "-aq", "--no-trunc", *filters).split():
            with contextlib.suppress(subprocess.CalledProcessError):  # one of them has gone meanwhile
                listed = docker("inspect", "-f", "{{.Id}} {{.State.StartedAt}} {{.RestartCount}}", *ids)
                return {one: (started, int(count)) for one, started, count in map(str.split, listed.splitlines())}
        return {}


async def is_listening(port: int) -> bool:
    """Whether a connection to this port of loopback is taken."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def docker(*arguments: str) -> str:
    """What the docker command prints."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def run_up(state: Path, *arguments: str, **settings: str) -> dict[str, Any]:
    """Run `up` with this state and return what `up.json` says; tests ask more often and wait less than a person.

    `settings` are the control daemon's.
    """
    command = [sys.executable, "-m", "scripts.local.up", "--state", str(state), *arguments]
    environment = os.environ | {
        "MOORAGE_REQUESTS_PER_MINUTE": "0",
        "MOORAGE_START_SECONDS": "10",
        "MOORAGE_AUTOSCALE_SECONDS": "2",
        "MOORAGE_AUTOSCALE_HEADROOM_CPU_MILLIS": "0",
        "MOORAGE_ALLOW_PRIVATE_REGISTRIES": "true",
        "MOORAGE_ALLOW_PRIVATE_GIT_HOSTS": "true",
        # Several runs on one machine listen side by side.
        "MOORAGE_TCP_PORTS": f"{20000 + os.getpid() % 100 * 100}-{20099 + os.getpid() % 100 * 100}",
        "MOORAGE_GIT_AUTHORITIES": str(git_authorities(state)),
        **{f"MOORAGE_{name.upper()}": value for name, value in settings.items()},
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr + done.stdout
    return read_up(state)


def git_authorities(state: Path) -> Path:
    """Where a platform of tests reads which certificates it trusts for repositories."""
    path = state.parent / "git-authorities.pem"
    path.touch()
    return path


def read_up(state: Path) -> dict[str, Any]:
    """What `up.json` of this state says."""
    up: dict[str, Any] = msgspec.json.decode((state / "up.json").read_bytes())
    return up


def run_down(state: Path, *arguments: str) -> None:
    """Run `down` with this state."""
    command = [sys.executable, "-m", "scripts.local.down", "--state", str(state), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr + done.stdout


def open_platform(state: Path, up: dict[str, Any]) -> Platform:
    """The platform that `up` left running with this state."""
    places = Places(state)
    ports = read_ports(places)
    assert ports is not None
    return Platform(places, ports, Path(up["admin_token_file"]).read_text().strip(), up["node_id"])


async def pack_site(text: str, *, command: str | None = None) -> bytes:
    """A tar.zst of a small site that says `text` at `/`, streams events at `/cgi-bin/ticks`, and computes for a moment
    at `/cgi-bin/burn`.
    """
    return await asyncio.to_thread(_pack_site, text, command)


def _pack_site(text: str, command: str | None) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        folder, archive = Path(scratch) / "site", Path(scratch) / "site.tar.zst"
        write_site(folder, text, command=command)
        pack(folder, archive)
        return archive.read_bytes()


def write_site(folder: Path, text: str, *, command: str | None = None) -> None:
    """The folder of such a site, with its Dockerfile."""
    (folder / "www" / "cgi-bin").mkdir(parents=True)
    shutil.copyfile(_BUSYBOX, folder / "busybox")
    (folder / "busybox").chmod(0o755)
    (folder / "www" / "index.html").write_text(text)
    for name, script in (("ticks", _TICKS), ("burn", _BURN)):
        program = folder / "www" / "cgi-bin" / name
        program.write_text(script)
        program.chmod(0o755)
    lines = _DOCKERFILE if command is None else _DOCKERFILE.rpartition("CMD")[0] + f"CMD {command}\n"
    (folder / "Dockerfile").write_text(lines)


async def put_service(api: Api, name: str, **changes: Any) -> Service:
    """Create or change a service that takes uploads."""
    project = next(one for one in await api.list_projects() if one.name == "default")
    config: dict[str, Any] = {
        "project_id": project.id,
        "name": name,
        "domains": [],
        "source": {"type": "upload"},
        "internal_port": 8080,
        "health_check": {"path": "/", "timeout_seconds": 2},
        "resource_limits": {"cpu_millis": 500, "memory_bytes": 64 * 1024 * 1024},
    }
    return await api.put_service(config | changes)


async def make_place(platform: Platform, name: str) -> Place:
    """A service of that name with one healthy replica, which has shells and programs in it."""
    async with platform.api() as api:
        service = await put_service(api, name)
        deployment = await deploy_site(api, service, await pack_site("hello"))
        assert deployment.status == "Healthy", deployment.reason
    return Place(platform.api_url, platform.token, service.id)


async def await_read(place: Place) -> None:
    """Wait until the agent reads what the service's containers use: it holds files of theirs open from then on."""
    url, headers = f"{place.url}/v1/services/{place.service_id}/metrics", {"Authorization": f"Bearer {place.token}"}
    async with aiohttp.ClientSession(headers=headers) as http:

        async def is_read() -> bool:
            async with http.get(url) as answer:
                return any(reading["cpu_usage_usec"] for reading in await answer.json())

        await eventually(is_read)


async def deploy_site(api: Api, service: Service, archive: bytes) -> Deployment:
    """Deploy the archive and wait for the end, whatever it is."""
    deployment = await begin_deployment(api, service, archive)
    return await await_end(api, deployment.id)


async def begin_deployment(api: Api, service: Service, archive: bytes) -> Deployment:
    """Upload the archive and ask for its deployment."""
    uploaded = await api.upload(service.id, io.BytesIO(archive))
    return await api.deploy(
        {
            "source": "upload",
            "service_id": service.id,
            "upload_id": uploaded.upload_id,
            "dockerfile_path": "Dockerfile",
            "context_path": ".",
        }
    )


async def await_end(api: Api, deployment_id: str, *, seconds: float = 120) -> Deployment:
    """The deployment once it has ended."""
    async with asyncio.timeout(seconds):
        while True:
            deployment = await api.get_deployment(deployment_id)
            if deployment.status not in {"Pending", "Building", "Starting"}:
                return deployment
            await asyncio.sleep(0.1)


async def host_of(api: Api, service: Service) -> str:
    """A hostname that routes to the service."""
    return next(one.hostname for one in await api.list_domains(service.id) if one.status == "verified")


@dataclasses.dataclass(slots=True)
class Load:
    """What a steady stream of requests met."""

    sent: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)
    bodies: dict[str, int] = dataclasses.field(default_factory=dict)


@contextlib.asynccontextmanager
async def steady_load(url: str, host: str, *, per_second: int = 100, fresh: bool = False) -> AsyncIterator[Load]:
    """Requests at a steady rate while the block runs; `fresh` opens a connection for each."""
    load = Load()
    connector = aiohttp.TCPConnector(limit=0, force_close=fresh)
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        running = asyncio.create_task(_send_steadily(session, load, url=url, host=host, per_second=per_second))
        try:
            yield load
        finally:
            running.cancel()
            await asyncio.wait([running])


async def _send_steadily(session: aiohttp.ClientSession, load: Load, *, url: str, host: str, per_second: int) -> None:
    loop = asyncio.get_running_loop()
    pending: set[asyncio.Task[None]] = set()
    due = loop.time()
    try:
        while True:
            task = asyncio.create_task(_send(session, load, url=url, host=host))
            pending.add(task)
            task.add_done_callback(pending.discard)
            due += 1 / per_second
            await asyncio.sleep(max(0.0, due - loop.time()))
    finally:
        if pending:
            await asyncio.wait(pending)


async def _send(session: aiohttp.ClientSession, load: Load, *, url: str, host: str) -> None:
    load.sent += 1
    try:
        async with session.get(url, headers={"Host": host}) as answer:
            body = await answer.text()
            if answer.status == 200:
                load.bodies[body] = load.bodies.get(body, 0) + 1
            else:
                load.failures.append(f"status {answer.status}: {body[:100]}")
    except (aiohttp.ClientError, TimeoutError) as error:
        load.failures.append(repr(error))
