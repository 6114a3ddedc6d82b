"""Facts of the machine that self-checks of every daemon ask for; each read blocks, briefly."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from kit.doctor.rules import Holder, Room

_LISTENING: Final = "0A"
_OPEN_FILES: Final = re.compile(r"^Max open files\s+(\d+|unlimited)", re.MULTILINE)
_UNLIMITED: Final = 2**31


def read_room(path: Path) -> Room:
    """The file system that holds the path, or the nearest folder above it that exists; raises OSError."""
    there = path
    while not there.exists() and there != there.parent:
        there = there.parent
    told = os.statvfs(there)
    return Room(
        path=str(there),
        total_bytes=told.f_blocks * told.f_frsize,
        free_bytes=told.f_bavail * told.f_frsize,
        inodes=told.f_files,
        free_inodes=told.f_favail,
    )


def find_processes(words: tuple[str, ...], *, proc_dir: Path = Path("/proc")) -> list[int]:
    """Processes whose command line holds all the words as arguments or their last parts, without this one."""
    found = []
    for folder in proc_dir.iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            arguments = [Path(word).name for word in _read_command(folder)]
            if all(word in arguments for word in words):
                found.append(int(folder.name))
    return sorted(found)


def find_daemon(
    program: str, *, package: str, other_words: Collection[str], proc_dir: Path = Path("/proc")
) -> int | None:
    """The process that runs the daemon, started by its command or as a package; None when there is none.

    `other_words` are the commands of the same program that do something else.
    """
    for words in ((program,), ("-m", package)):
        others = [pid for other in other_words for pid in find_processes((*words, other), proc_dir=proc_dir)]
        found = [pid for pid in find_processes(words, proc_dir=proc_dir) if pid not in others]
        if found:
            return found[0]
    return None


def read_descriptor_limit(pid: int | None = None, *, proc_dir: Path = Path("/proc")) -> int:
    """How many files a process may open, this one when None; raises OSError and ValueError."""
    text = (proc_dir / ("self" if pid is None else str(pid)) / "limits").read_text()
    found = _OPEN_FILES.search(text)
    if found is None:
        raise ValueError("the kernel does not say how many files it may open")
    return _UNLIMITED if found[1] == "unlimited" else int(found[1])


def read_holders(ports: Collection[int], *, proc_dir: Path = Path("/proc")) -> dict[int, list[Holder]]:
    """The processes that listen on each of the TCP ports, in this network namespace; raises OSError.

    One whose files this user may not list has neither process id nor command. All files of all processes are gone
    through once, however many ports are asked for.
    """
    listening = {f"socket:[{inode}]": port for inode, port in _list_listening(proc_dir) if port in ports}
    found: dict[int, list[Holder]] = {port: [] for port in ports}
    if listening:
        for folder in proc_dir.iterdir():
            if folder.name.isdecimal():
                for port in {listening[name] for name in _list_links(folder / "fd") if name in listening}:
                    command = " ".join(_read_command(folder)) or "a kernel thread"
                    found[port].append(Holder(pid=int(folder.name), command=command))
    unseen = [Holder(pid=None, command=None)]
    return {port: holders or (unseen if port in listening.values() else []) for port, holders in found.items()}


def _list_listening(proc_dir: Path) -> Iterator[tuple[str, int]]:
    """The inode and the port of each socket that listens."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in (proc_dir / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING:
                    yield fields[9], int(fields[1].rpartition(":")[2], 16)


def _list_links(folder: Path) -> Iterator[str]:
    """Where the files of a process lead."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                yield os.readlink(entry.path)  # noqa: PTH115 - there may be a hundred thousand of them


def _read_command(folder: Path) -> list[str]:
    try:
        return (folder / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []
