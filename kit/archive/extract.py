"""Unpacks an archive into a directory of its own, or leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from kit.archive.decode import Decoder
from kit.archive.faults import ArchiveStopped, ArchiveUnreadable, ArchiveUnwritable, TargetNotEmpty
from kit.archive.limits import Limits
from kit.archive.paths import Tree
from kit.archive.summary import Summary
from kit.archive.tar import Entry, Parser
from kit.archive.target import Target

_READ_BYTES = 1 << 19
_WAITING_PIECES = 4
_DEFAULT = Limits()


def _never() -> bool:
    return False


def extract(
    source: BinaryIO | Path, into: Path, limits: Limits = _DEFAULT, *, should_stop: Callable[[], bool] = _never
) -> Summary:
    """Unpack the archive into the directory, which must be missing or empty, and say what it held.

    Blocking, for use inside a worker thread; a second thread decodes. Modes are 0755 or 0644, owner and times are those
    of now. On any failure the directory is left as it was found: missing or empty. `should_stop` is asked, from both
    threads, at least once per MiB and ends the work with ArchiveStopped; a read of the source is waited for. Holds
    about 16 MiB with the default limits. A source given as a file stays open.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(source, Path):
            source = stack.enter_context(_open_source(source))
        stack.enter_context(_fresh_directory(into))
        target = stack.enter_context(contextlib.closing(Target(into)))
        pieces = stack.enter_context(contextlib.closing(_Pieces(source, limits, should_stop)))
        return _unpack(pieces, target, limits)


def _unpack(pieces: _Pieces, target: Target, limits: Limits) -> Summary:
    parser = Parser(limits)
    tree = Tree(limits)
    for piece in pieces:
        for event in parser.feed(piece):
            if isinstance(event, Entry):
                target.close_file()
                path = tree.add(event.name, is_directory=event.is_directory)
                if event.is_directory:
                    target.make_directory(path)
                else:
                    target.open_file(path, executable=event.executable)
            else:
                target.write(event)
    parser.finish()
    target.close_file()
    return Summary(
        entries=parser.entries,
        files=parser.files,
        uncompressed_bytes=parser.uncompressed_bytes,
        compressed_bytes=pieces.compressed_bytes,
        sha256=pieces.sha256,
    )


class _Pieces:
    """Iterates over the decoded pieces of a source that another thread reads, a few ahead; `close` ends that thread."""

    def __init__(self, source: BinaryIO, limits: Limits, should_stop: Callable[[], bool]) -> None:
        self._source = source
        self._decoder = Decoder(limits)
        self._should_stop = should_stop
        self._closing = threading.Event()
        self._ready: queue.Queue[bytes | None] = queue.Queue(_WAITING_PIECES)
        self._error: BaseException | None = None
        self.sha256 = ""
        self._thread = threading.Thread(target=self._run, name="archive-decode")
        self._thread.start()

    @property
    def compressed_bytes(self) -> int:
        """Bytes read from the source."""
        return self._decoder.compressed_bytes

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._ready.get()) is not None:
            self._check_stop()
            yield piece
        self._thread.join()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the thread and wait for it."""
        self._closing.set()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                self._ready.get(timeout=0.01)
        self._thread.join()

    def _run(self) -> None:
        try:
            while chunk := self._read():
                for piece in self._decoder.feed(chunk):
                    self._check_stop()
                    self._ready.put(piece)
            self.sha256 = self._decoder.finish()
        except BaseException as error:  # noqa: BLE001 - carried to the reading thread, which raises it
            self._error = error
        finally:
            self._ready.put(None)

    def _read(self) -> bytes:
        self._check_stop()
        try:
            return self._source.read(_READ_BYTES)
        except OSError as error:
            raise ArchiveUnreadable(f"cannot read archive: {error.strerror or error}") from error

    def _check_stop(self) -> None:
        if self._closing.is_set() or self._should_stop():
            raise ArchiveStopped("cannot unpack archive: it was stopped")


def _open_source(path: Path) -> BinaryIO:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise ArchiveUnreadable(f"cannot read archive: {error.strerror}") from error


@contextlib.contextmanager
def _fresh_directory(path: Path) -> Iterator[None]:
    """Make the directory, or take it when it is empty; a failure inside leaves it as it was found."""
    made = True
    try:
        try:
            path.mkdir()
            path.chmod(0o755)
        except FileExistsError as error:
            made = False
            if path.is_symlink() or not path.is_dir() or any(path.iterdir()):
                raise TargetNotEmpty("cannot unpack archive: its target is not an empty directory") from error
    except OSError as error:
        raise ArchiveUnwritable(f"cannot unpack archive: {error.strerror}") from error
    try:
        yield
    except BaseException:
        _remove(path, itself=made)
        raise


def _remove(path: Path, *, itself: bool) -> None:
    if itself:
        shutil.rmtree(path, ignore_errors=True)
        return
    with os.scandir(path) as children:
        for child in children:
            if child.is_dir(follow_symlinks=False):
                shutil.rmtree(child.path, ignore_errors=True)
            else:
                Path(child.path).unlink()
