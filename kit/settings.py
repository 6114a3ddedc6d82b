"""Settings of a program: one frozen dataclass lists them, read once from a TOML file and the environment."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from kit.faults import Invalid

T = TypeVar("T")


class SettingsInvalid(Invalid):
    """One or more settings cannot be used; `details["problems"]` lists every one of them."""

    code = "settings_invalid"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a program says of one of its settings."""

    name: str
    """Its key in the file; the environment's name is the prefix and this in upper case."""
    type: str
    default: str
    unit: str | None
    meaning: str


def setting(default: T, meaning: str, *, unit: str | None = None, check: Callable[[T], str | None] | None = None) -> T:
    """A field of a settings class; `check` returns what is wrong with a value, or None."""
    value: T = dataclasses.field(default=default, metadata={"meaning": meaning, "unit": unit, "check": check})
    return value


def at_least(least: float) -> Callable[[Any], str | None]:
    """A check that refuses numbers below `least`."""
    return lambda value: None if value is None or value >= least else f"must be at least {least:g}"


def describe(settings: type[Any]) -> tuple[Setting, ...]:
    """Every setting of the class, in its order."""
    hints = typing.get_type_hints(settings)
    return tuple(
        Setting(
            name=field.name,
            type=_type_name(hints[field.name]),
            default=_default_text(field.default),
            unit=field.metadata["unit"],
            meaning=field.metadata["meaning"],
        )
        for field in dataclasses.fields(settings)
    )


def read_settings(settings: type[T], *, prefix: str, environment: Mapping[str, str], file: Path | None = None) -> T:
    """The settings from the file, then the environment over it; raises SettingsInvalid with every problem at once."""
    problems: list[str] = []
    values: dict[str, Any] = {}
    hints = typing.get_type_hints(settings)
    fields = {field.name: field for field in dataclasses.fields(settings)}  # type: ignore[arg-type]
    for name, raw in _read_file(file, problems).items():
        if name not in fields:
            problems.append(f"{name}: no such setting (in {file})")
        else:
            _take(values, problems, name=name, raw=raw, hint=hints[name], source=str(file))
    for name in fields:
        variable = prefix + name.upper()
        if variable in environment:
            _take(values, problems, name=name, raw=environment[variable], hint=hints[name], source=variable)
    for name, value in values.items():
        check = fields[name].metadata["check"]
        if check is not None and (wrong := check(value)) is not None:
            problems.append(f"{name}: {wrong}")
    if problems:
        raise SettingsInvalid("cannot use the settings: " + "; ".join(problems), details={"problems": problems})
    return settings(**values)


def _read_file(file: Path | None, problems: list[str]) -> Mapping[str, Any]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{file}: {error}")
        return {}


def _take(values: dict[str, Any], problems: list[str], *, name: str, raw: Any, hint: Any, source: str) -> None:
    try:
        values[name] = _convert(raw, hint)
    except (TypeError, ValueError) as error:
        problems.append(f"{name}: {error} (in {source})")


def _convert(raw: Any, hint: Any) -> Any:
    if isinstance(hint, types.UnionType):
        inner = [part for part in typing.get_args(hint) if part is not types.NoneType]
        return None if raw == "" else _convert(raw, inner[0])
    if typing.get_origin(hint) is tuple:
        parts = raw.split(",") if isinstance(raw, str) else list(raw)
        return tuple(
            _convert(part.strip() if isinstance(part, str) else part, typing.get_args(hint)[0]) for part in parts
        )
    if hint is bool:
        return _convert_bool(raw)
    if hint in {int, float} and (isinstance(raw, bool) or not isinstance(raw, (str, int, float))):
        raise TypeError(f"expected a number, got {raw!r}")
    if hint in {str, Path} and not isinstance(raw, str):
        raise TypeError(f"expected text, got {raw!r}")
    try:
        return hint(raw)
    except ValueError:
        raise ValueError(f"expected {_type_name(hint)}, got {raw!r}") from None


def _convert_bool(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if isinstance(raw, str) and raw.lower() in words:
        return words[raw.lower()]
    raise ValueError(f"expected true or false, got {raw!r}")


def _type_name(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        return " or ".join("none" if part is types.NoneType else _type_name(part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return f"list of {_type_name(typing.get_args(hint)[0])}"
    return {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path"}.get(hint, str(hint))


def _default_text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(str(part) for part in value) or "empty"
    return str(value)
