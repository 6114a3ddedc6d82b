"""Build contexts on the node's disk: staged as the archive they came as, or cloned; there for one build, then gone."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

from agent.core.faults import ContextMissing
from agent.rules.build_paths import BuildPathForbidden, parse_build_path
from kit.archive.extract import extract
from kit.archive.limits import Limits
from kit.faults import TooLarge, Unavailable
from kit.files import remove_tree

_ARCHIVE = "context.tar.zst"
_FOLDER = "context"


class ContextFiles:
    """Keeps contexts below one folder, a subfolder for each work; ids are UUIDs, checked where they come in."""

    def __init__(self, folder: Path, *, limits: Limits, compressed_bytes: int) -> None:
        self._folder = folder
        self._limits = limits
        self._compressed_bytes = compressed_bytes

    async def stage(self, work_id: str, chunks: AsyncIterator[bytes]) -> None:
        """Write the archive to disk as it comes; it takes its place only when whole.

        Raises TooLarge past the cap and Unavailable where the disk refuses; then nothing is left behind.
        """
        part = self._folder / work_id / f"{_ARCHIVE}.part"
        await asyncio.to_thread(part.parent.mkdir, parents=True, exist_ok=True, mode=0o700)
        received = 0
        try:
            descriptor = await asyncio.to_thread(os.open, part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                async for chunk in chunks:
                    received += len(chunk)
                    if received > self._compressed_bytes:
                        raise TooLarge(f"cannot stage the context: it passes {self._compressed_bytes} bytes")
                    await asyncio.to_thread(_write_all, descriptor, chunk)
            finally:
                os.close(descriptor)
            await asyncio.to_thread(part.rename, part.with_name(_ARCHIVE))
        except OSError as error:
            await self.remove(work_id)
            raise Unavailable(f"cannot stage the context: {error.strerror}") from error
        except BaseException:
            await self.remove(work_id)
            raise

    async def has(self, work_id: str) -> bool:
        """Whether a whole archive is staged for this work."""
        return await asyncio.to_thread((self._folder / work_id / _ARCHIVE).is_file)

    async def unpack(self, work_id: str, *, context_path: str, dockerfile_path: str) -> tuple[Path, str]:
        """Unpack the archive and return the build's folder and its Dockerfile relative to that folder.

        Raises ContextMissing, BuildPathForbidden, or an archive fault; a cancelled call stops its thread.
        """
        archive = self._folder / work_id / _ARCHIVE
        if not await self.has(work_id):
            raise ContextMissing(f"cannot build {work_id}: its context is not staged on this node")
        stop = threading.Event()
        try:
            return await asyncio.to_thread(
                self._unpack, archive, context_path=context_path, dockerfile_path=dockerfile_path, stop=stop
            )
        finally:
            stop.set()

    def root(self, work_id: str) -> Path:
        """Where the files of this work's context are, or are to be made."""
        return self._folder / work_id / _FOLDER

    async def locate(self, work_id: str, *, context_path: str, dockerfile_path: str) -> tuple[Path, str]:
        """The build's folder in files that are there, and its Dockerfile relative to that folder.

        Raises BuildPathForbidden; no link leads out of the context.
        """
        return await asyncio.to_thread(
            _locate, self.root(work_id), context_path=context_path, dockerfile_path=dockerfile_path
        )

    async def remove(self, work_id: str) -> None:
        """Drop all that is staged, cloned or unpacked for this work."""
        await asyncio.to_thread(remove_tree, self._folder / work_id)

    async def clear(self) -> None:
        """Drop every context: builds do not outlive the agent, and whoever wants one sends it again."""
        await asyncio.to_thread(remove_tree, self._folder)

    def _unpack(
        self, archive: Path, *, context_path: str, dockerfile_path: str, stop: threading.Event
    ) -> tuple[Path, str]:
        root = archive.with_name(_FOLDER)
        if not root.exists():
            extract(archive, root, self._limits, should_stop=stop.is_set)
        return _locate(root, context_path=context_path, dockerfile_path=dockerfile_path)


def _locate(root: Path, *, context_path: str, dockerfile_path: str) -> tuple[Path, str]:
    context = _inside(root, context_path, what="context path")
    dockerfile = _inside(root, dockerfile_path, what="Dockerfile path")
    if not context.is_dir():
        raise BuildPathForbidden(f"cannot use the context path {context_path!r}: there is no such folder")
    if not dockerfile.is_file():
        raise BuildPathForbidden(f"cannot use the Dockerfile path {dockerfile_path!r}: there is no such file")
    if not dockerfile.is_relative_to(context):
        dockerfile = _copy_beside(dockerfile, context / ".moorage.Dockerfile")
    return context, str(dockerfile.relative_to(context))


def _copy_beside(dockerfile: Path, beside: Path) -> Path:
    """Copy it into the context, in place of a file or a link that has the name there."""
    try:
        beside.unlink(missing_ok=True)
        with beside.open("xb") as copy:
            copy.write(dockerfile.read_bytes())
    except OSError as error:
        raise BuildPathForbidden(f"cannot put the Dockerfile into the context: {error.strerror}") from error
    return beside


def _inside(root: Path, text: str, *, what: str) -> Path:
    real_root = root.resolve()
    path = (real_root / parse_build_path(text, what=what)).resolve()
    if not path.is_relative_to(real_root):
        raise BuildPathForbidden(f"cannot use the {what} {text!r}: it leads out of the context")
    return path


def _write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]
