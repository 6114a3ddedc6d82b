"""The processes of a local platform under supervisord: each is started again, whatever ended it."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
import xmlrpc.client
from pathlib import Path
from typing import Any

from scripts.local.places import Places

_PROGRAM = """
[program:{name}]
command={command}
directory={directory}
autostart={autostart}
autorestart=true
startsecs=1
startretries=1000000
stopsignal=TERM
stopwaitsecs=40
killasgroup={killasgroup}
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=3
"""


def render_configuration(places: Places, *, programs: dict[str, str]) -> str:
    """Supervisord's configuration: one program for each name and command."""
    head = f"""[supervisord]
logfile={places.logs}/supervisord.log
pidfile={places.run}/supervisord.pid
childlogdir={places.logs}
nodaemon=false
umask=077

[unix_http_server]
file={places.supervisor_socket}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
    return head + "".join(
        _PROGRAM.format(
            name=name,
            command=command.replace("%", "%%"),
            directory=places.state,
            log=places.logs / f"{name}.log",
            autostart="true",
            killasgroup="true" if name == "haproxy" else "false",
        )
        for name, command in programs.items()
    )


class Supervisor:
    """Speaks to the supervisord of one state folder."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def is_running(self) -> bool:
        """Whether it answers."""
        try:
            self._call("getState")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def start(self, configuration: str) -> None:
        """Start it with this configuration, or let a running one take it over; programs that did not change run on."""
        self._places.supervisor.write_text(configuration)
        if self.is_running():
            self._take_over()
            return
        self._places.supervisor_socket.unlink(missing_ok=True)
        subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._places.supervisor)],
            check=True,
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 15
        while not self.is_running():
            if time.monotonic() > deadline:
                raise RuntimeError(f"cannot start supervisord: see {self._places.logs}/supervisord.log")
            time.sleep(0.1)

    def states(self) -> dict[str, str]:
        """Each program's state in supervisord's words, such as RUNNING."""
        return {one["name"]: one["statename"] for one in self._call("getAllProcessInfo")}

    def pid(self, name: str) -> int:
        """The program's process id; 0 while it does not run."""
        return int(self._call("getProcessInfo", name)["pid"])

    def stop_program(self, name: str) -> None:
        """Stop one program; it stays down until it is started again."""
        self._call("stopProcess", name)

    def stop(self) -> None:
        """Stop every program in order, then supervisord itself; nothing happens when it does not run."""
        if not self.is_running():
            return
        pid = int((self._places.run / "supervisord.pid").read_text())
        self._call("shutdown")
        deadline = time.monotonic() + 90
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline and not _is_zombie(pid):
            time.sleep(0.1)

    def _take_over(self) -> None:
        [[added, changed, removed]] = self._call("reloadConfig")
        for name in [*removed, *changed]:
            self._call("stopProcessGroup", name)
            self._call("removeProcessGroup", name)
        for name in [*added, *changed]:
            self._call("addProcessGroup", name)
        for name, state in self.states().items():
            if state not in {"RUNNING", "STARTING", "BACKOFF"}:
                self._call("startProcess", name, False)

    def _call(self, method: str, *arguments: object) -> Any:
        transport = _UnixTransport(self._places.supervisor_socket)
        with xmlrpc.client.ServerProxy("http://local", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("local", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        try:
            self.sock.connect(os.fspath(self._path))
        except OSError:
            self.sock.close()
            raise


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path)
        self._connection = (host, connection)
        return connection


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
