"""Which controld the command line speaks to, and as whom."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from kit.faults import Invalid
from kit.files import replace_file


class NotLoggedIn(Invalid):
    """No controld is known yet."""

    code = "not_logged_in"


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """One controld and a token for it."""

    url: str
    token: str


_URL: Final = "MOORAGE_URL"
_TOKEN: Final = "MOORAGE_TOKEN"


def read_login(path: Path) -> Login:
    """From MOORAGE_URL and MOORAGE_TOKEN, else from the file; raises NotLoggedIn."""
    url, token = os.environ.get(_URL), os.environ.get(_TOKEN)
    if url and token:
        return Login(url=url, token=token)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Login)
    except FileNotFoundError:
        raise NotLoggedIn(
            f"cannot tell where controld is: run `moorage login URL`, or set {_URL} and {_TOKEN}"
        ) from None
    except msgspec.MsgspecError as error:
        raise NotLoggedIn(f"cannot read {path}: {error}; run `moorage login URL` again") from error


def write_login(path: Path, login: Login) -> None:
    """Keep it for later, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_file(path, msgspec.json.encode(login))


def default_path() -> Path:
    """`moorage/login.json` below the user's configuration folder."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "moorage" / "login.json"
