"""Image references taken apart, and what a registry's refusal means."""

from __future__ import annotations

import enum


class Refused(enum.Enum):
    """Why an image cannot be had."""

    MISSING = "missing"
    DENIED = "denied"
    OTHER = "other"


_DENIED = (
    "denied",
    "unauthorized",
    "authentication required",
    "no basic auth credentials",
    "incorrect username or password",
    "forbidden",
)
_MISSING = (
    "manifest unknown",
    "not found",
    "name unknown",
    "no such image",
    "does not exist",
    "repository name not known",
)


def split_reference(reference: str) -> tuple[str, str]:
    """Repository, and tag or digest; the tag is `latest` when the reference names none."""
    name, at, digest = reference.partition("@")
    head, colon, tag = name.rpartition(":")
    tagged = bool(colon) and "/" not in tag
    if at:
        return (head if tagged else name), digest
    return (head, tag) if tagged else (name, "latest")


def find_registry(reference: str) -> str:
    """The registry's host, with its port if it names one."""
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first
    return "docker.io"


def shorten(reference: str) -> str:
    """The reference as engines tell it: the default registry left out, and a tag there where it names none."""
    if "/" not in reference and reference.startswith("sha256:"):
        return reference
    short = (
        reference.removeprefix("docker.io/").removeprefix("library/")
        if find_registry(reference) == "docker.io"
        else reference
    )
    return short if "@" in short else ":".join(split_reference(short))


def find_named_host(reference: str) -> str | None:
    """The registry's host without its port, brackets left out, or None for the default registry."""
    registry = find_registry(reference)
    if registry == "docker.io":
        return None
    if registry.startswith("["):
        return registry[1:].partition("]")[0]
    return registry.partition(":")[0]


def decide_refusal(sentence: str) -> Refused:
    """What the sentence of a registry or of the engine means.

    A registry that hides what one may not see says "denied" and "does not exist" in one breath: that is DENIED.
    """
    text = sentence.lower()
    if any(word in text for word in _DENIED):
        return Refused.DENIED
    if any(word in text for word in _MISSING):
        return Refused.MISSING
    return Refused.OTHER


def hide_secret(sentence: str, secret: str | None) -> str:
    """The sentence without the secret, should a registry repeat it."""
    return sentence.replace(secret, "***") if secret else sentence
