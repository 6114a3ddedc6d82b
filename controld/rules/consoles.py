"""Decisions about consoles: sizes of terminals, which web pages may connect, whose console gives way."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

MOST_COLS: Final = 300
MOST_ROWS: Final = 120
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A console that counts: its service, whose it is, and since when nobody is connected (absent: somebody is)."""

    session_id: str
    service_id: str
    holder: str
    detached_at: float | None


def clamp_size(cols: int, rows: int) -> tuple[int, int]:
    """A size that terminals have: 1 to 300 columns and 1 to 120 rows."""
    return max(1, min(cols, MOST_COLS)), max(1, min(rows, MOST_ROWS))


def allows_origin(origin: str | None, *, host: str, more: Collection[str]) -> bool:
    """Whether a page of this origin may connect to what the browser calls `host`; programs that are none send none.

    The page's own host may, by either scheme, and those in `more`: hosts, or whole origins.
    """
    if origin is None:
        return True
    said = _parse_origin(origin)
    if said is None:
        return False
    scheme, name, port = said
    if _split_host(host, default_port=_PORTS[scheme]) == (name, port):
        return True
    for each in more:
        allowed = _parse_origin(each) if "://" in each else (scheme, *_split_host(each, default_port=_PORTS[scheme]))
        if allowed == said:
            return True
    return False


def pick_to_give_way(
    standing: Iterable[Standing], *, service_id: str, holder: str, at_once: int, per_service: int
) -> tuple[bool, list[str]]:
    """Whether a console more may be opened, and which have to end for it.

    Only one that nobody is connected to gives way: the holder's own before others, and of those the longest so.
    """
    present = list(standing)
    going: list[str] = []
    for limit, group in (
        (per_service, [each for each in present if each.service_id == service_id]),
        (at_once, present),
    ):
        left = [each for each in group if each.session_id not in going]
        over = len(left) + 1 - limit
        loose = sorted(
            (each for each in left if each.detached_at is not None),
            key=lambda each: (each.holder != holder, each.detached_at),
        )
        if over > len(loose):
            return False, []
        going += [each.session_id for each in loose[: max(0, over)]]
    return True, going


def _parse_origin(origin: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or parts.path not in {"", "/"} or parts.username:
        return None
    return parts.scheme, parts.hostname, port if port is not None else _PORTS[parts.scheme]


def _split_host(host: str, *, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname or "", parts.port if parts.port is not None else default_port
    except ValueError:
        return "", 0
