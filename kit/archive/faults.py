"""What can be wrong with an archive, or with the place it is read from or written to."""

from __future__ import annotations

from kit.faults import Conflict, Invalid, TooLarge, Unavailable

_SHOWN_BYTES = 200


class NotZstd(Invalid):
    """The stream does not begin with a zstd frame."""

    code = "archive_not_zstd"


class NotTar(Invalid):
    """What was compressed does not begin as a tar file."""

    code = "archive_not_tar"


class ArchiveCorrupt(Invalid):
    """The stream contradicts its own format somewhere after its beginning."""

    code = "archive_corrupt"


class ArchiveTruncated(Invalid):
    """The stream ends before the archive does."""

    code = "archive_truncated"


class WindowTooLarge(Invalid):
    """A zstd frame asks for more memory than the limit."""

    code = "archive_window_too_large"


class EntryForbidden(Invalid):
    """An entry is neither a regular file nor a directory."""

    code = "archive_entry_forbidden"


class PathForbidden(Invalid):
    """An entry's path leaves the archive's root, names nothing or passes a limit."""

    code = "archive_path_forbidden"


class PathTaken(Invalid):
    """Two entries claim one path in ways that exclude each other."""

    code = "archive_path_taken"


class TooManyEntries(Invalid):
    """The archive holds more entries than the limit."""

    code = "archive_too_many_entries"


class UncompressedTooLarge(Invalid):
    """The archive unpacks to more bytes than the limit."""

    code = "archive_too_large"


class CompressedTooLarge(TooLarge):
    """The compressed stream is longer than the limit."""

    code = "archive_compressed_too_large"


class TargetNotEmpty(Conflict):
    """The place to unpack into exists and is not an empty directory."""

    code = "archive_target_not_empty"


class ArchiveUnreadable(Unavailable):
    """The system failed to hand over bytes of the archive, or of a file to pack."""

    code = "archive_unreadable"


class ArchiveUnwritable(Unavailable):
    """The system refused to store what came out of the archive, or the archive itself."""

    code = "archive_unwritable"


class ArchiveStopped(Unavailable):
    """The caller asked to stop."""

    code = "archive_stopped"


def render_name(name: bytes) -> str:
    """The name in quotes, unprintable characters escaped and cut to 200 bytes, safe in logs and JSON."""
    shown = repr(name[:_SHOWN_BYTES].decode("utf-8", "backslashreplace"))
    return shown if len(name) <= _SHOWN_BYTES else f"{shown}… ({len(name)} bytes)"
