"""Holds what opens a repository in the memory of a helper on a private socket, for as long as a clone takes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shlex
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from agent.core.faults import CloneFailed
from agent.host.git.programs import Programs
from kit.git_url import GitUrl
from wire.agent.builds import CloneAsked, DeployKey, HttpsLogin

_READY_SECONDS: Final = 10.0
_LONGEST_PATH_BYTES: Final = 100
"""The kernel takes 107; ssh-agent binds a name of its own first."""


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """How git finds what is held: neither its settings nor its environment name the secret."""

    environment: Mapping[str, str]
    settings: tuple[tuple[str, str], ...] = ()


@contextlib.asynccontextmanager
async def hold_credential(asked: CloneAsked, url: GitUrl, *, programs: Programs, folder: Path) -> AsyncIterator[Held]:
    """Hold the credential of the ask with its sockets below `folder`, which is private; nothing of it is on disk.

    A password is told for the host of `url` over https alone. Raises CloneFailed.
    """
    match asked.credential:
        case DeployKey(private_key=key):
            async with _hold_key(key, programs=programs, folder=folder, seconds=asked.timeout_seconds) as held:
                yield held
        case HttpsLogin() as login if url.scheme == "https":
            async with _hold_login(login, url, programs=programs, folder=folder, seconds=asked.timeout_seconds) as held:
                yield held
        case _:
            yield Held({})


@contextlib.asynccontextmanager
async def _hold_key(key: str, *, programs: Programs, folder: Path, seconds: float) -> AsyncIterator[Held]:
    socket = _socket(folder, "key")
    async with programs.open(["ssh-agent", "-D", "-a", str(socket)], folder=folder, environment={}):
        await _await_socket(socket, "ssh-agent")
        found = {"SSH_AUTH_SOCK": str(socket)}
        added = await programs.run(
            ["ssh-add", "-q", "-t", str(int(seconds) + 60), "-"], folder=folder, environment=found, given=key.encode()
        )
        if added.code:
            raise CloneFailed("cannot clone: ssh-agent does not take the deploy key")
        yield Held(found)


@contextlib.asynccontextmanager
async def _hold_login(
    login: HttpsLogin, url: GitUrl, *, programs: Programs, folder: Path, seconds: float
) -> AsyncIterator[Held]:
    socket = _socket(folder, "login")
    named = url.text.partition("://")[2].partition("/")[0]
    told = f"protocol=https\nhost={named}\nusername={login.username}\npassword={login.password}\n"
    async with programs.open(["git", "credential-cache--daemon", str(socket)], folder=folder, environment={}):
        await _await_socket(socket, "git's credential cache")
        options = [f"--timeout={int(seconds) + 60}", f"--socket={socket}"]
        stored = await programs.run(
            ["git", "credential-cache", *options, "store"], folder=folder, environment={}, given=told.encode()
        )
        if stored.code:
            raise CloneFailed("cannot clone: git's credential cache does not take the sign-in")
        yield Held({}, (("credential.helper", shlex.join(["cache", *options])),))


def _socket(folder: Path, name: str) -> Path:
    path = folder / name
    if len(str(path).encode()) > _LONGEST_PATH_BYTES:
        raise CloneFailed(f"cannot clone: the path of the socket {path} is too long; choose a shorter haproxy_run_dir")
    return path


async def _await_socket(path: Path, name: str) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_READY_SECONDS):
            while not await asyncio.to_thread(path.is_socket):  # noqa: ASYNC110 - nothing tells when it is there
                await asyncio.sleep(0.01)
            return
    raise CloneFailed(f"cannot clone: {name} does not start on this node")
