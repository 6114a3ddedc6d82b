"""The checks of a node: each reads its facts from the machine and has the rules judge them."""

from __future__ import annotations

import asyncio
import email.utils
import shutil
import socket
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp

from agent.core.faults import (
    ControlRefused,
    ControlUnreachable,
    ControlUntrusted,
    EngineUnavailable,
    IngressUnavailable,
)
from agent.host.control import translated
from agent.host.docker.session import EngineSession
from agent.host.haproxy.config import HaproxyPaths
from agent.host.haproxy.runtime import MasterSocket, RuntimeSocket
from agent.host.identity_files import IdentityFiles
from agent.model.identity import Identity
from agent.rules import doctor as rules
from kit import tls
from kit.clock import Clock
from kit.doctor import facts
from kit.doctor import rules as common
from kit.doctor.findings import Check, Finding, Verdict, blocking, ok, unknown
from wire.control.enrolment import AUTHORITY_PATH
from wire.identity import CONTROL_HOST

_SYSCTL: Final = ("fs.inotify.max_user_instances", "fs.inotify.max_user_watches", "net.unix.max_dgram_qlen")
_PROXY: Final = ("haproxy",)
_AGENT: Final = ("moorage-agent", "-m agent")


class NodeDoctor:
    """Looks at this machine as a node; nothing is changed."""

    def __init__(
        self,
        *,
        data_dir: Path,
        cgroup_dir: Path,
        proc_dir: Path,
        docker_socket: Path,
        haproxy_binary: Path,
        haproxy_paths: HaproxyPaths,
        proxy_ports: Mapping[int, str],
        listen_port: int,
        loopback_port: int,
        control_url: str,
        clock: Clock,
        deadline_seconds: float,
    ) -> None:
        self._data_dir = data_dir
        self._cgroup_dir = cgroup_dir
        self._proc_dir = proc_dir
        self._docker_socket = docker_socket
        self._haproxy_binary = haproxy_binary
        self._haproxy_paths = haproxy_paths
        self._proxy_ports = proxy_ports
        self._listen_port = listen_port
        self._loopback_port = loopback_port
        self._control_url = control_url
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._files = IdentityFiles(data_dir / "identity")

    def checks(self) -> list[Check]:
        """Every check, from the ground up."""
        table: Mapping[str, Callable[[], Awaitable[Sequence[Finding]]]] = {
            "cgroups": blocking(self._look_at_cgroups),
            "kernel": blocking(self._look_at_kernel),
            "descriptors": blocking(self._look_at_descriptors),
            "disk": blocking(self._look_at_disk),
            "engine": self._look_at_engine,
            "ingress program": self._look_at_proxy,
            "ingress sockets": self._look_at_sockets,
            "ports": blocking(self._look_at_ports),
            "programs": blocking(self._look_at_programs),
            "identity": self._look_at_identity,
            "control": self._look_at_control,
        }
        return [Check(name=name, look=look) for name, look in table.items()]

    def _look_at_cgroups(self) -> list[Finding]:
        controllers = _read_text(self._cgroup_dir / "cgroup.controllers")
        hybrid = (self._cgroup_dir / "unified/cgroup.controllers").exists()
        return [rules.judge_cgroups(controllers=controllers, hybrid=hybrid, folder=str(self._cgroup_dir))]

    def _look_at_kernel(self) -> list[Finding]:
        texts = {name: _read_text(self._proc_dir / "sys" / name.replace(".", "/")) for name in _SYSCTL}
        return rules.judge_kernel({name: int(text) for name, text in texts.items() if text})

    def _look_at_descriptors(self) -> list[Finding]:
        running = self._find_agent()
        limit = facts.read_descriptor_limit(running, proc_dir=self._proc_dir)
        return [common.judge_descriptors(limit, whose="the agent" if running else "a process started from here")]

    def _look_at_disk(self) -> list[Finding]:
        return [common.judge_room("disk of the agent", facts.read_room(self._data_dir))]

    async def _look_at_engine(self) -> list[Finding]:
        session = EngineSession(self._docker_socket, call_timeout_seconds=self._deadline_seconds)
        try:
            version = await session.fetch_version()
            info: Mapping[str, Any] = await session.call("GET", "/info", doing="ask for its drivers")
        except EngineUnavailable as fault:
            return [
                Finding(
                    check="engine",
                    verdict=Verdict.FAIL,
                    found=fault.message,
                    means="nothing can be deployed here, and what runs is not watched",
                    mend="systemctl start docker, then journalctl -u docker -n 50",
                )
            ]
        finally:
            await session.close()
        folder = Path(str(info.get("DockerRootDir", "/var/lib/docker")))
        room = await asyncio.to_thread(facts.read_room, folder)
        return [rules.judge_engine(version), *rules.judge_drivers(info), common.judge_room("disk of the engine", room)]

    async def _look_at_proxy(self) -> list[Finding]:
        try:
            _, words = await self._run_proxy("-v")
        except FileNotFoundError:
            return [
                Finding(
                    check="ingress program",
                    verdict=Verdict.FAIL,
                    found=f"{self._haproxy_binary} is not there",
                    means="no request from outside reaches a service on this node",
                    mend="apt-get install haproxy",
                )
            ]
        paths = self._haproxy_paths
        if not await asyncio.to_thread(paths.base.exists):
            return [
                rules.judge_proxy_version(words),
                unknown("ingress files", "not written yet: the agent does at start"),
            ]
        status, said = await self._run_proxy("-c", "-f", str(paths.base), "-f", str(paths.pool))
        return [rules.judge_proxy_version(words), rules.judge_proxy_files(status=status, words=said)]

    async def _run_proxy(self, *arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            self._haproxy_binary, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, said.decode(errors="replace")

    async def _look_at_sockets(self) -> list[Finding]:
        try:
            await RuntimeSocket(self._haproxy_paths.admin_socket).ask(["show version"])
            await MasterSocket(self._haproxy_paths.master_socket, clock=self._clock).old_sessions()
        except IngressUnavailable as fault:
            return [
                Finding(
                    check="ingress sockets",
                    verdict=Verdict.FAIL,
                    found=fault.message,
                    means="user traffic goes on as it was, and new releases do not reach it",
                    mend="systemctl restart moorage-haproxy",
                )
            ]
        return [ok("ingress sockets", "the worker and the master answer")]

    def _look_at_ports(self) -> list[Finding]:
        running = self._find_agent() is not None
        proxy = bool(facts.find_processes(_PROXY, proc_dir=self._proc_dir))
        bound = _read_text(self._haproxy_paths.base) or ""
        wanted: list[tuple[int, str, Sequence[str], bool]] = [
            (port, purpose, _PROXY, proxy and f":{port}" in bound) for port, purpose in self._proxy_ports.items()
        ]
        wanted.append((self._listen_port, "controld dials the agent", _AGENT, running))
        wanted.append((self._loopback_port, "challenges and image pulls", _AGENT, running))
        holders = facts.read_holders({port for port, *_ in wanted if port}, proc_dir=self._proc_dir)
        return [
            common.judge_port(port, purpose=purpose, holders=holders[port], ours=ours, needed=needed)
            for port, purpose, ours, needed in wanted
            if port
        ]

    def _look_at_programs(self) -> list[Finding]:
        builds = "deployments from git"
        return [
            rules.judge_program("git", path=shutil.which("git"), needed_for=builds, package="git"),
            rules.judge_program(
                "ssh", path=shutil.which("ssh"), needed_for=f"{builds} over ssh", package="openssh-client"
            ),
        ]

    async def _look_at_identity(self) -> list[Finding]:
        identity = await self._files.read()
        if identity is None:
            return [
                Finding(
                    check="identity",
                    verdict=Verdict.FAIL,
                    found="this machine is no node yet",
                    means="controld does not know it",
                    mend="make a join token, then: moorage-agent join --token-file -",
                )
            ]
        file = self._data_dir / "identity/identity.json"
        told, folder = await asyncio.to_thread(lambda: (file.stat(), file.parent.stat()))
        return [
            ok("identity", f"node {identity.name} ({identity.node_id})"),
            common.judge_private_file(
                "identity file", str(file), mode=told.st_mode, uid=told.st_uid, owner=folder.st_uid
            ),
            common.judge_certificate(
                "node certificate",
                subject="it",
                not_after_at=identity.not_after_at,
                renew_at=identity.renew_at,
                now=self._clock.now(),
                mend="see why renewal fails: journalctl -u moorage-agent; once it ran out, enrol the machine again",
            ),
        ]

    async def _look_at_control(self) -> list[Finding]:
        identity = await self._files.read()
        url = self._control_url or (identity.control_url if identity is not None else "")
        if not url or identity is None:
            return [unknown("control", "no controld is known before this machine is a node")]
        host = urllib.parse.urlsplit(url).hostname or ""
        try:
            await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            return [
                Finding(
                    check="control",
                    verdict=Verdict.FAIL,
                    found=f"the name {host} cannot be resolved: {error.strerror or error}",
                    means="this node hears of no change; what runs goes on",
                    mend=f"see /etc/resolv.conf: getent hosts {host}",
                )
            ]
        try:
            return await self._ask_control(url, identity)
        except (ControlUnreachable, ControlRefused, ControlUntrusted) as fault:
            return [
                Finding(
                    check="control",
                    verdict=Verdict.FAIL,
                    found=fault.message,
                    means="this node hears of no change; what runs goes on",
                    mend=f"see whether controld runs, and what stands between: curl -k {url}{AUTHORITY_PATH}",
                )
            ]

    async def _ask_control(self, url: str, identity: Identity) -> list[Finding]:
        context = await asyncio.to_thread(lambda: tls.client_context(authority_pem=identity.authority_pem))
        timeout = aiohttp.ClientTimeout(total=self._deadline_seconds)
        before = self._clock.now()
        async with translated(url), aiohttp.ClientSession(timeout=timeout) as session:
            async with session.get(
                url + AUTHORITY_PATH, ssl=context, server_hostname=CONTROL_HOST, allow_redirects=False
            ) as response:
                told = response.headers.get("Date", "")
                after = self._clock.now()
        try:
            # A Date has whole seconds: on average it is told half a second late.
            offset = (before + (after - before) / 2 - email.utils.parsedate_to_datetime(told)).total_seconds() - 0.5
        except ValueError:
            return [ok("control", f"{url} answers"), unknown("clock", "controld does not tell its time")]
        return [ok("control", f"{url} answers"), common.judge_clock(offset, against="controld")]

    def _find_agent(self) -> int | None:
        return facts.find_daemon(
            "moorage-agent", package="agent", other_words=("join", "ingress", "doctor"), proc_dir=self._proc_dir
        )


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
