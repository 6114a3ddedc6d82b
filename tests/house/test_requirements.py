"""The locks pin and hash all that is installed, satisfy what the project asks for, and name no address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.tree import ROOT, list_files, name_of, read_pyproject

_LOCKS = {
    "client": [],
    "agent": ["agent"],
    "controld": ["controld"],
    "dev": ["dev"],
    "bench": ["bench"],
    "local": ["agent", "controld", "local"],
    "test": ["agent", "controld", "local", "test", "check"],
}
_ENTRY = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[A-Za-z0-9.!+]+)"
    r"(?: ; (?P<marker>[^\\\n]+?))?(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
)


def _lock(name: str) -> Path:
    return ROOT / "requirements" / f"{name}.txt"


def _pins(path: Path) -> dict[str, str]:
    return {canonicalize_name(found["name"]): found["version"] for found in _ENTRY.finditer(path.read_text())}


def _asked(extras: list[str]) -> list[Requirement]:
    project = read_pyproject()["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def _unsatisfied(asked: list[Requirement], pins: dict[str, str]) -> list[str]:
    wrong = []
    for requirement in asked:
        version = pins.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement} is locked as {version}")
    return wrong


@pytest.mark.parametrize("name", [*_LOCKS, "build", "tools"])
def test_a_lock_is_nothing_but_pinned_and_hashed_packages(name: str) -> None:
    text = _lock(name).read_text()
    assert _ENTRY.sub("", text) == ""
    assert _pins(_lock(name))


def test_no_lock_names_an_address() -> None:
    address = re.compile(r"://|www\.|\.(?:org|com|io|net)\b|-index|find-links|-r |-e |@ ")
    assert [name_of(path) for path in list_files("requirements/*") if address.search(path.read_text())] == []


@pytest.mark.parametrize(("name", "extras"), _LOCKS.items())
def test_a_lock_satisfies_what_the_project_asks_for(name: str, extras: list[str]) -> None:
    assert _unsatisfied(_asked(extras), _pins(_lock(name))) == []


def test_the_tools_of_tests_are_locked_too() -> None:
    asked = [Requirement(line) for line in read_pyproject()["dependency-groups"]["tools"]]
    assert _unsatisfied(asked, _pins(_lock("tools"))) == []


def test_the_build_backend_is_locked_too() -> None:
    asked = [Requirement(line) for line in read_pyproject()["build-system"]["requires"]]
    assert _unsatisfied(asked, _pins(_lock("build"))) == []


def test_all_locks_agree_on_every_version() -> None:
    versions: dict[str, set[str]] = {}
    for path in list_files("requirements/*.txt"):
        for name, version in _pins(path).items():
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_every_extra_has_its_lock() -> None:
    covered = {extra for extras in _LOCKS.values() for extra in extras}
    assert covered == set(read_pyproject()["project"]["optional-dependencies"])


def test_a_laptop_gets_nothing_that_only_a_daemon_needs() -> None:
    assert not {"docker", "psutil", "pyroute2", "sqlalchemy", "asyncpg"} & set(_pins(_lock("client")))
    assert not {"sqlalchemy", "asyncpg", "alembic"} & set(_pins(_lock("agent")))
