"""What a release is made of, and when its name changes."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from scripts.host.release import COMMANDS, PACKAGES, Role, read_release
from tests.house.tree import ROOT, list_files, name_of, read_pyproject
from wire.version import RELEASE


def checkout(root: Path) -> Path:
    for name in ("agent/a.py", "kit/page/page.html", "wire/w.py", "controld/c.py", "client/c.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("text")
    (root / "requirements").mkdir()
    for role in Role:
        (root / f"requirements/{role}.txt").write_text("aiohttp==1\n")
    return root


@pytest.mark.parametrize("role", list(Role))
def test_a_release_holds_every_file_of_its_packages_and_of_no_other(role: Role) -> None:
    wanted = {name_of(path) for path in list_files(*(f"{package}/*" for package in PACKAGES[role]))}
    release = read_release(role, python="3.11")
    assert set(release.files) == wanted
    assert release.lock.is_file()
    assert release.name.startswith(f"{RELEASE}-")


def test_the_commands_are_those_of_the_project() -> None:
    ours = {command: f"{package}.__main__:main" for role in Role for command, package in COMMANDS[role].items()}
    assert ours == read_pyproject()["project"]["scripts"]


@pytest.mark.parametrize("role", list(Role))
def test_a_role_imports_nothing_of_a_package_that_it_does_not_hold(role: Role) -> None:
    others = {"agent", "client", "controld", "tests", "scripts"} - set(PACKAGES[role])
    for name in read_release(role, python="3.11").files:
        if name.endswith(".py"):
            text = (ROOT / name).read_text()
            assert not [other for other in others if f"\nfrom {other}." in text or f"\nimport {other}." in text], name


@pytest.mark.parametrize("role", list(Role))
def test_a_roles_lock_holds_every_library_that_its_code_imports_late_or_early(role: Role) -> None:
    release = read_release(role, python="3.11")
    locked = set(re.findall(r"^([a-z0-9.-]+)==", release.lock.read_text(), re.MULTILINE))
    known = packages_distributions()
    missing = {
        f"{name}: {module}"
        for name in release.files
        if name.endswith(".py")
        for module in find_imports((ROOT / name).read_text()) - sys.stdlib_module_names - set(PACKAGES[role])
        if not {distribution.lower().replace("_", "-") for distribution in known.get(module, ())} & locked
    }
    assert missing == set()


def find_imports(text: str) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module.partition(".")[0])
    return modules


def test_the_name_follows_code_lock_and_interpreter_and_nothing_else(tmp_path: Path) -> None:
    root = checkout(tmp_path)

    def name(python: str = "3.11") -> str:
        return read_release(Role.AGENT, root=root, python=python).name

    first = name()
    (root / "controld/c.py").write_text("other")
    (root / "agent/__pycache__").mkdir()
    (root / "agent/__pycache__/a.pyc").write_text("bytecode")
    assert name() == first
    (root / "kit/page/page.html").write_text("other")
    second = name()
    (root / "requirements/agent.txt").write_text("aiohttp==2\n")
    third = name()
    assert len({first, second, third, name("3.12")}) == 4
