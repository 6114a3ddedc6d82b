"""Addresses of git repositories: what may be cloned from, told apart before git sees it."""

from __future__ import annotations

import dataclasses
import re
from typing import Final
from urllib.parse import urlsplit

from kit.faults import Invalid

_LIMIT: Final = 2048
_PORTS: Final = {"https": 443, "http": 80, "ssh": 22}
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:]+")
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_SHORT: Final = re.compile(r"(?:(?P<user>[^@:/]+)@)?(?P<host>[^@:/\[\]]+):(?P<path>[^:].*)")


class GitUrlRefused(Invalid):
    """The address is none that a repository is cloned from; the message never repeats it."""

    code = "git_url_refused"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GitUrl:
    """A repository's address; `text` is how git is told of it, and holds no secret."""

    text: str
    scheme: str
    """`https`, `http` or `ssh`."""
    user: str | None
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """Scheme, host and port, as git names them in its configuration."""
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}"

    @property
    def known_host(self) -> str:
        """The name under which a file of known hosts has the host's key."""
        return self.host if self.port == _PORTS["ssh"] else f"[{self.host}]:{self.port}"


def parse_git_url(text: str) -> GitUrl:
    """The address that the text says: `https://`, `http://`, `ssh://` or `user@host:path`; raises GitUrlRefused."""
    if not text or len(text) > _LIMIT:
        raise GitUrlRefused(f"cannot use the repository's address: it has 1 to {_LIMIT} characters")
    if any(ord(letter) <= 32 or ord(letter) >= 127 for letter in text) or "\\" in text or text.startswith("-"):
        raise GitUrlRefused("cannot use the repository's address: it holds a space or a character that none has")
    if "://" in text:
        return _parse_long(text)
    found = _SHORT.fullmatch(text)
    if found is None:
        raise GitUrlRefused("cannot use the repository's address: it is none of https://…, ssh://… and user@host:path")
    return _check(text, scheme="ssh", user=found["user"], host=found["host"], port=22, path=found["path"])


def resolve_git_url(parent: str, text: str) -> str:
    """What a submodule's address means in a repository that came from `parent`: `./` and `../` lead on from there."""
    if not text.startswith(("./", "../")):
        return text
    base, rest = parent.rstrip("/"), text
    while True:
        if rest.startswith("./"):
            rest = rest[2:]
        elif rest.startswith("../"):
            rest, base = rest[3:], _drop_last(base)
        else:
            return f"{base}/{rest}" if not base.endswith(":") else f"{base}{rest}"


def _parse_long(text: str) -> GitUrl:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise GitUrlRefused("cannot use the repository's address: its host or its port is none") from error
    if parts.scheme not in _PORTS:
        raise GitUrlRefused("cannot use the repository's address: it must be of https or ssh")
    if parts.password is not None or (parts.username is not None and parts.scheme != "ssh"):
        raise GitUrlRefused(
            "cannot use the repository's address: it carries a user or a password; keep them as a git credential of "
            "the project and name that credential"
        )
    if "?" in text or "#" in text:
        raise GitUrlRefused("cannot use the repository's address: it has a query or a fragment")
    return _check(
        text,
        scheme=parts.scheme,
        user=parts.username,
        host=parts.hostname or "",
        port=_PORTS[parts.scheme] if port is None else port,
        path=parts.path,
    )


def _check(text: str, *, scheme: str, user: str | None, host: str, port: int, path: str) -> GitUrl:
    if _HOST.fullmatch(host) is None or not 0 < port < 65536:
        raise GitUrlRefused("cannot use the repository's address: its host or its port is none")
    if user is not None and _USER.fullmatch(user) is None:
        raise GitUrlRefused("cannot use the repository's address: its user is none")
    if not path.strip("/") or path.startswith("-"):
        raise GitUrlRefused("cannot use the repository's address: it names no repository")
    return GitUrl(text=text, scheme=scheme, user=user, host=host.lower(), port=port, path=path)


def _drop_last(base: str) -> str:
    """The address without its last part; what is left of a short one keeps its colon."""
    head, slash, _ = base.rpartition("/")
    if slash:
        if head.endswith("/") or ("://" not in head and "://" in base):
            raise GitUrlRefused("cannot use a submodule's address: it leads out of its host")
        return head
    head, colon, tail = base.rpartition(":")
    if not colon or not tail:
        raise GitUrlRefused("cannot use a submodule's address: it leads out of its host")
    return f"{head}:"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
