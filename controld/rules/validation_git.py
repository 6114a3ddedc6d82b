"""What a git source and its credential may be; each check raises Invalid with the reason."""

from __future__ import annotations

import re
from typing import Final

from controld.model.service import GitSource
from controld.rules.registry_hosts import find_host_problem
from kit.faults import Invalid
from kit.git_url import GitUrl, parse_git_url

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_REF_LIMIT: Final = 255
_REF_REFUSED: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\.lock(/|$)|/$|\.$|^[-/.]|/\.")
_LOGIN_LIMIT: Final = 4096


def check_credential_name(name: str) -> None:
    """Letters, digits, '.', '_' and '-', at most 128."""
    if _NAME.fullmatch(name) is None:
        raise Invalid("cannot keep git credential: its name may hold 1 to 128 letters, digits, '.', '_' and '-' only")


def check_https_login(username: str | None, password: str | None) -> dict[str, str]:
    """A user and a password as they are kept: neither empty, and each in one line."""
    given = {"username": username or "", "password": password or ""}
    for what, text in given.items():
        if not text or len(text) > _LOGIN_LIMIT or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
            raise Invalid(f"cannot keep git credential: {what} has 1 to {_LOGIN_LIMIT} characters of one line")
    return given


def check_ref(ref: str) -> None:
    """A branch, a tag, a full `refs/…` name, a commit or HEAD, as git itself lets refs be named."""
    if not ref or len(ref) > _REF_LIMIT or _REF_REFUSED.search(ref) is not None or ref == "@":
        raise Invalid("cannot use git_ref: it is none that a branch, a tag or a commit has")


def check_repository(source: GitSource, *, allow_private_hosts: bool) -> GitUrl:
    """A repository that may be cloned: over https or ssh from a host of the world, or any host where that is allowed.

    Whether a name leads inside is seen by the node that clones.
    """
    url = parse_git_url(source.repo_url)
    if not allow_private_hosts:
        if url.scheme == "http":
            raise Invalid("cannot save source: the repository's address must be of https or ssh")
        if (problem := find_host_problem(f"[{url.host}]" if ":" in url.host else url.host)) is not None:
            raise Invalid(f"cannot save source: the repository's host cannot be used: {problem}")
    return url
