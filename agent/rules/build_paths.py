"""Where a build reads from, checked so that nothing outside its context is reached."""

from __future__ import annotations

from pathlib import PurePosixPath

from kit.faults import Invalid


class BuildPathForbidden(Invalid):
    """A build path is absolute, leaves the context, leads nowhere or holds characters that no path should."""

    code = "build_path_forbidden"


def parse_build_path(text: str, *, what: str) -> PurePosixPath:
    """The relative path that the text says; raises BuildPathForbidden naming `what`."""
    path = PurePosixPath(text)
    if not text or any(character in text for character in "\0\r\n"):
        raise BuildPathForbidden(f"cannot use the {what} {text!r}: it is empty or holds a control character")
    if path.is_absolute() or ".." in path.parts:
        raise BuildPathForbidden(f"cannot use the {what} {text!r}: it must stay inside the context")
    return path
