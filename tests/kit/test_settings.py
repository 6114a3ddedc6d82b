"""Settings are read from a file and the environment, and every mistake is told at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from kit.settings import SettingsInvalid, at_least, describe, read_settings, setting


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    port: int = setting(7180, "Where it listens.", unit="TCP port", check=at_least(1))
    folder: Path = setting(Path("/var/lib/x"), "Where it keeps things.")
    verbose: bool = setting(False, "Whether it says more.")
    domain: str | None = setting(None, "Its name.")
    tags: tuple[str, ...] = setting((), "Words.")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text('port = 1\nfolder = "/a"\ntags = ["x", "y"]\n')
    got = read_settings(
        _Settings, prefix="X_", environment={"X_PORT": "2", "X_VERBOSE": "yes", "OTHER": "1"}, file=file
    )
    assert got == _Settings(port=2, folder=Path("/a"), verbose=True, tags=("x", "y"))


def test_an_empty_text_clears_an_optional_setting_and_commas_make_a_list() -> None:
    got = read_settings(_Settings, prefix="X_", environment={"X_DOMAIN": "", "X_TAGS": "a, b"})
    assert got.domain is None
    assert got.tags == ("a", "b")


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("prot = 1\nverbose = 3\n")
    with pytest.raises(SettingsInvalid) as caught:
        read_settings(_Settings, prefix="X_", environment={"X_PORT": "many"}, file=file)
    message = caught.value.message
    assert "prot: no such setting" in message
    assert "verbose: expected true or false" in message
    assert "port: expected integer, got 'many'" in message


def test_a_value_out_of_range_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="port: must be at least 1"):
        read_settings(_Settings, prefix="X_", environment={"X_PORT": "0"})


def test_a_file_that_cannot_be_read_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="No such file"):
        read_settings(_Settings, prefix="X_", environment={}, file=tmp_path / "absent.toml")


def test_a_description_names_type_default_and_unit() -> None:
    described = {one.name: one for one in describe(_Settings)}
    assert (described["port"].type, described["port"].default, described["port"].unit) == (
        "integer",
        "7180",
        "TCP port",
    )
    assert described["domain"].type == "text or none"
    assert described["tags"].default == "empty"
