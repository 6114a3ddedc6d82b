"""What may be written: names, passwords, environment and limits; each check raises Invalid with the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from controld.model.service import Env, ResourceLimits
from controld.rules.redaction import REDACTED
from kit.faults import Invalid

BOOTSTRAP_PASSWORD_BYTES: Final = 8
PASSWORD_BYTES: Final = 12
PASSWORD_LIMIT_BYTES: Final = 1024
NAME_LIMIT: Final = 255
LARGEST_U16: Final = 2**16 - 1
LARGEST_U32: Final = 2**32 - 1
LARGEST_BYTES: Final = 2**63 - 1
LABELS_LIMIT: Final = 64
LEAST_CPU_MILLIS: Final = 10
LEAST_MEMORY_BYTES: Final = 6 * 1024**2

_LABEL = re.compile(r"[A-Za-z0-9._/-]{1,63}")
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_REFUSED_ENV = frozenset(
    {
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "LD_AUDIT",
        "LD_DEBUG",
        "LD_PROFILE",
        "LD_ORIGIN_PATH",
        "GLIBC_TUNABLES",
    }
)


def check_word(text: str, *, what: str) -> None:
    """A name of letters, digits, '_' and '-', at most 255."""
    if _WORD.fullmatch(text) is None or len(text) > NAME_LIMIT:
        raise Invalid(f"cannot save: {what} may hold 1 to {NAME_LIMIT} letters, digits, '_' and '-' only")


def check_title(text: str, *, what: str) -> None:
    """A name that is not blank, has no control characters, and is at most 255 characters."""
    if not text.strip():
        raise Invalid(f"cannot save: {what} is blank")
    if len(text) > NAME_LIMIT:
        raise Invalid(f"cannot save: {what} is longer than {NAME_LIMIT} characters")
    check_text(text, what=what)


def check_text(text: str, *, what: str) -> None:
    """Text without control characters."""
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise Invalid(f"cannot save: {what} holds a control character")


def check_password(password: str, *, least_bytes: int = PASSWORD_BYTES) -> None:
    """A password of at least so many bytes and at most 1,024."""
    size = len(password.encode())
    if size < least_bytes:
        raise Invalid(f"cannot take this password: it needs at least {least_bytes} bytes")
    if size > PASSWORD_LIMIT_BYTES:
        raise Invalid(f"cannot take this password: it is longer than {PASSWORD_LIMIT_BYTES} bytes")


def check_env(env: Env) -> None:
    """Names that a process can have and that do not steer its loader; values that are not the mark of redaction."""
    for name, value in env:
        if not name or "=" in name or "\0" in name:
            raise Invalid(f"cannot save env: {name!r} is no name for a variable")
        if name.upper() in _REFUSED_ENV:
            raise Invalid(f"cannot save env: {name} steers the program loader and is refused")
        if "\0" in value:
            raise Invalid(f"cannot save env: the value of {name} holds a NUL")
        if value == REDACTED:
            raise Invalid(f"cannot save env: the value of {name} is the mark of a hidden value; send the real one")


def check_limits(limits: ResourceLimits | None) -> None:
    """A hundredth of a core and 6 MiB at least: an engine runs nothing on less."""
    if limits is None:
        return
    check_range(limits.cpu_millis, what="resource_limits.cpu_millis", least=LEAST_CPU_MILLIS, most=LARGEST_U32)
    check_range(limits.memory_bytes, what="resource_limits.memory_bytes", least=LEAST_MEMORY_BYTES, most=LARGEST_BYTES)


def check_labels(labels: Mapping[str, str], *, what: str) -> None:
    """At most 64 labels; names of letters, digits, '.', '_', '/' and '-', values of these or empty, 63 at most."""
    if len(labels) > LABELS_LIMIT:
        raise Invalid(f"cannot save: {what} has more than {LABELS_LIMIT} labels")
    for name, value in labels.items():
        if _LABEL.fullmatch(name) is None:
            raise Invalid(
                f"cannot save: {what} names {name!r}; a label has 1 to 63 letters, digits, '.', '_', '/' and '-'"
            )
        if value and _LABEL.fullmatch(value) is None:
            raise Invalid(
                f"cannot save: {what} gives {name} the value {value!r}; it may have up to 63 letters, digits, '.', "
                "'_', '/' and '-'"
            )


def split_label(text: str) -> tuple[str, str]:
    """Name and value of a label that is written `name=value`; raises Invalid."""
    name, mark, value = text.partition("=")
    if not mark:
        raise Invalid(f"cannot read the label {text!r}: it is not name=value")
    check_labels({name: value}, what="label")
    return name, value


def check_range(value: int, *, what: str, least: int, most: int) -> None:
    """A number from `least` to `most`."""
    if not least <= value <= most:
        raise Invalid(f"cannot save: {what} must be from {least} to {most}, not {value}")
