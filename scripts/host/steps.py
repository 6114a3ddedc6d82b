"""The steps that an install or an uninstall is made of: values that say what is to happen, each in words too."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder that is to exist."""

    path: Path
    mode: int = 0o755


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that is to hold this text, replaced as a whole; `group` None: root's."""

    path: Path
    text: str
    mode: int = 0o644
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Files, by their place below `root`, that are to stand below `folder` and nothing else."""

    root: Path
    names: tuple[str, ...]
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A symbolic link, switched in one step."""

    path: Path
    target: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """A file, link or folder that is to be gone."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveEmpty:
    """A folder that is to be gone if nothing is left in it."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run; with `token` the join token is its standard input. `may_fail`: its failure is told, no more."""

    arguments: tuple[str, ...]
    token: bool = False
    may_fail: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Await:
    """A wait until the unit runs and something listens on the port that its settings name."""

    unit: str
    settings: Path
    port_setting: str
    default_port: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DropContainers:
    """The containers of a node, which are to stop; with `purge` they, the node's images and networks are to be gone."""

    node_id: str
    purge: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Words for the operator."""

    words: str


Step: TypeAlias = Folder | File | Copy | Link | Remove | RemoveEmpty | Command | Await | DropContainers | Note


def render_step(step: Step) -> str:
    """The step in one line, which holds no secret."""
    match step:
        case Folder(path=path, mode=mode):
            return f"folder {path} ({mode:04o})"
        case File(path=path, mode=mode, group=group):
            return f"file {path} ({mode:04o}, root:{group or 'root'})"
        case Copy(names=names, folder=folder):
            return f"copy {len(names)} files into {folder}"
        case Link(path=path, target=target):
            return f"link {path} -> {target}"
        case Remove(path=path):
            return f"remove {path}"
        case RemoveEmpty(path=path):
            return f"remove {path} if it is empty"
        case Command(arguments=arguments, token=token):
            return "run " + shlex.join(arguments) + (" < (the join token)" if token else "")
        case Await(unit=unit, seconds=seconds):
            return f"wait up to {seconds:g} s until {unit} answers"
        case DropContainers(node_id=node_id, purge=purge):
            what = "remove containers, images and networks" if purge else "stop the containers"
            return f"{what} of node {node_id}"
        case Note(words=words):
            return words


def render_dry_run(steps: tuple[Step, ...]) -> str:
    """Every step in order, and below a file its text."""
    lines: list[str] = []
    for step in steps:
        lines.append(render_step(step))
        if isinstance(step, File):
            lines += [f"    | {line}" for line in step.text.splitlines()]
    return "\n".join([*lines, ""])
