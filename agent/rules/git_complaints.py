"""What the complaints of git and ssh mean."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import Final


class Complaint(enum.Enum):
    """Why something was not fetched."""

    KEY_CHANGED = "key changed"
    KEY_UNKNOWN = "key unknown"
    DENIED = "denied"
    MISSING = "missing"
    REDIRECTED = "redirected"
    NOT_SHALLOW = "not shallow"
    """The server does not give a part of the history, or not by the name of a commit."""
    FULL = "full"
    """The disk, or the limit on a file's size."""
    OTHER = "other"


_FILE_SIZE_SIGNAL: Final = "died of signal 25"
"""SIGXFSZ: a program of git's wanted to write more into a file than its limit lets it."""
_WORDS: Final[tuple[tuple[Complaint, tuple[str, ...]], ...]] = (
    (Complaint.KEY_CHANGED, ("remote host identification has changed", "host key for")),
    (Complaint.KEY_UNKNOWN, ("host key is known for", "host key verification failed", "no matching host key")),
    (Complaint.REDIRECTED, ("unable to update url base from redirection", "returned error: 30")),
    (
        Complaint.DENIED,
        (
            "permission denied (",
            "authentication failed",
            "could not read username",
            "could not read password",
            "returned error: 401",
            "returned error: 403",
            "invalid username or password",
            "too many authentication failures",
        ),
    ),
    (
        Complaint.NOT_SHALLOW,
        (
            "does not support shallow",
            "does not support --depth",
            "not our ref",
            "unadvertised object",
            "not advertised",
            "couldn't find remote ref",
            "no such remote ref",
            "did not send all necessary objects",
        ),
    ),
    (Complaint.FULL, ("no space left", "file too large", "disk quota", _FILE_SIZE_SIGNAL)),
    (
        Complaint.MISSING,
        (
            "repository not found",
            "not found",
            "does not appear to be a git repository",
            "returned error: 404",
            "returned error: 410",
            "no such project",
        ),
    ),
)
_PREFIX: Final = re.compile(r"^(?:fatal|error|remote|ssh|git): *", re.IGNORECASE)
_LONGEST: Final = 300


def decide_complaint(lines: Sequence[str]) -> Complaint:
    """What the lines mean; the most telling of them decides."""
    text = "\n".join(lines).lower()
    return next((complaint for complaint, words in _WORDS if any(word in text for word in words)), Complaint.OTHER)


def choose_sentence(lines: Sequence[str]) -> str:
    """The line that says the most, without what names its program."""
    fatal = [line for line in lines if line.lower().startswith("fatal:")]
    told = fatal or list(lines) or ["it said nothing"]
    return "".join(letter if letter.isprintable() else " " for letter in _PREFIX.sub("", told[0]))[:_LONGEST]
