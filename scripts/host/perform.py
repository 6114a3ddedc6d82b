"""Performs steps: the only module here that changes the machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

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
    Step,
    render_step,
)

_PAUSE_SECONDS: Final = 0.5

Run: TypeAlias = Callable[[Sequence[str], str | None], subprocess.CompletedProcess[str]]
"""Runs a program with a text as its standard input, None: with nothing there."""


class StepFailed(Exception):
    """A step could not be done; those before it stand, and the same command goes on from there."""


class Performer:
    """Does one step after the other, telling each; the token is given to the one command that asks for it."""

    def __init__(self, *, token: str | None, say: Callable[[str], None], run: Run | None = None) -> None:
        self._token = token
        self._say = say
        self._run = run or run_program

    def perform(self, step: Step) -> None:
        """Do the step, or raise StepFailed or OSError; one that stands already is harmless."""
        if not isinstance(step, Note):
            self._say(render_step(step))
        match step:
            case Folder(path=path, mode=mode):
                path.mkdir(parents=True, exist_ok=True)
                path.chmod(mode)
            case File():
                _write(step)
            case Copy(root=root, names=names, folder=folder):
                for name in names:
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(root / name, folder / name)
            case Link(path=path, target=target):
                _link(path, target)
            case Remove(path=path):
                _remove(path)
            case RemoveEmpty(path=path):
                if path.is_dir() and not any(path.iterdir()):
                    path.rmdir()
            case Command():
                self._command(step)
            case Await():
                self._await(step)
            case DropContainers(node_id=node_id, purge=purge):
                self._drop_containers(node_id, purge=purge)
            case Note(words=words):
                self._say(words)

    def _command(self, step: Command) -> None:
        done = self._run(step.arguments, self._token if step.token else None)
        if done.returncode == 0:
            return
        words = f"cannot run {step.arguments[0]} (status {done.returncode}): {(done.stdout + done.stderr).strip()}"
        if step.may_fail:
            self._say(words)
            return
        if step.arguments[:2] in {("systemctl", "start"), ("systemctl", "restart")}:
            words += "\n" + self._journal(step.arguments[-1])
        raise StepFailed(words)

    def _await(self, step: Await) -> None:
        port = tomllib.loads(step.settings.read_text()).get(step.port_setting, step.default_port)
        deadline = time.monotonic() + step.seconds
        while not self._answers(step.unit, int(port)):
            if time.monotonic() > deadline:
                raise StepFailed(
                    f"{step.unit} does not answer on port {port} after {step.seconds:g} s\n{self._journal(step.unit)}"
                )
            time.sleep(_PAUSE_SECONDS)

    def _answers(self, unit: str, port: int) -> bool:
        if self._run(("systemctl", "is-active", "-q", unit), None).returncode != 0:
            return False
        if port == 0:
            return True
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2):
                return True
        except OSError:
            return False

    def _journal(self, unit: str) -> str:
        told = self._run(("journalctl", "-q", "--no-pager", "-n", "20", "-o", "cat", "-u", unit), None)
        return f"the end of its journal (journalctl -u {unit}):\n{told.stdout.strip()}"

    def _drop_containers(self, node_id: str, *, purge: bool) -> None:
        label = f"label=moorage.node={node_id}"
        self._each(("ps", "-q", "--filter", label), ("stop", "-t", "10"))
        if purge:
            self._each(("ps", "-aq", "--filter", label), ("rm", "-f", "-v"))
            self._each(("images", "-q", "--filter", label), ("rmi", "-f"))
            self._each(("network", "ls", "-q", "--filter", label), ("network", "rm"))

    def _each(self, listing: tuple[str, ...], action: tuple[str, ...]) -> None:
        found = tuple(dict.fromkeys(self._docker(*listing).split()))
        if found:
            self._docker(*action, *found)

    def _docker(self, *arguments: str) -> str:
        done = self._run(("docker", *arguments), None)
        if done.returncode != 0:
            self._say(f"docker {arguments[0]}: {done.stderr.strip()}")
        return done.stdout


def run_program(arguments: Sequence[str], text: str | None) -> subprocess.CompletedProcess[str]:
    """Run it to its end and keep what it says; one that is missing ends with status 127."""
    given: dict[str, object] = {"stdin": subprocess.DEVNULL} if text is None else {"input": text}
    try:
        return subprocess.run(list(arguments), capture_output=True, text=True, check=False, **given)  # type: ignore[call-overload, no-any-return]
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(list(arguments), 127, "", str(error))


def _write(step: File) -> None:
    step.path.parent.mkdir(parents=True, exist_ok=True)
    fresh = step.path.with_name(f".{step.path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(step.text)
        file.flush()
        os.fsync(file.fileno())
    if step.group is not None:
        shutil.chown(fresh, group=step.group)
    fresh.chmod(step.mode)
    fresh.replace(step.path)


def _link(path: Path, target: Path) -> None:
    if path.exists() and not path.is_symlink():
        raise StepFailed(f"cannot make the link {path}: something else is there")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
