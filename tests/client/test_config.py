"""The login is kept for its owner alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from client.config import Login, NotLoggedIn, read_login, write_login

_LOGIN = Login(url="http://127.0.0.1:7180", token="moor_x")


def test_a_login_is_read_back_and_closed_to_others(tmp_path: Path) -> None:
    file = tmp_path / "new" / "login.json"
    write_login(file, _LOGIN)
    assert read_login(file) == _LOGIN
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "login.json"
    write_login(file, _LOGIN)
    monkeypatch.setenv("MOORAGE_URL", "http://x")
    monkeypatch.setenv("MOORAGE_TOKEN", "y")
    assert read_login(file) == Login(url="http://x", token="y")


def test_without_a_login_the_way_to_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotLoggedIn, match="moorage login"):
        read_login(tmp_path / "absent.json")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "login.json"
    file.write_text("{")
    with pytest.raises(NotLoggedIn, match=r"login\.json"):
        read_login(file)
