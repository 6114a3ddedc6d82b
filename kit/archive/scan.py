"""Checks an archive while its bytes arrive, and writes nothing."""

from __future__ import annotations

from kit.archive.decode import Decoder
from kit.archive.limits import Limits
from kit.archive.paths import Tree
from kit.archive.summary import Summary
from kit.archive.tar import Entry, Parser

_WHOLE = Limits()


class Scanner:
    """Applies every rule of reading to an archive that arrives in chunks; blocking, for use inside a worker thread.

    Chunks may be cut anywhere. Work stops within one piece of about 1 MiB of output of the place that breaks a rule. A
    fault ends its use.
    """

    def __init__(self, limits: Limits = _WHOLE) -> None:
        self._decoder = Decoder(limits)
        self._parser = Parser(limits)
        self._tree = Tree(limits)

    def feed(self, chunk: bytes | memoryview) -> None:
        """Check the next bytes of the compressed stream; a fault says what is wrong with the archive."""
        for piece in self._decoder.feed(chunk):
            for event in self._parser.feed(piece):
                if isinstance(event, Entry):
                    self._tree.add(event.name, is_directory=event.is_directory)

    def finish(self) -> Summary:
        """What the archive holds; ArchiveTruncated when its end is missing."""
        sha256 = self._decoder.finish()
        self._parser.finish()
        return Summary(
            entries=self._parser.entries,
            files=self._parser.files,
            uncompressed_bytes=self._parser.uncompressed_bytes,
            compressed_bytes=self._decoder.compressed_bytes,
            sha256=sha256,
        )
