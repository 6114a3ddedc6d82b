"""The import contracts cover the whole of each daemon."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.house.tree import PACKAGES, ROOT, list_files, read_pyproject


def _contracts() -> list[dict[str, Any]]:
    contracts: list[dict[str, Any]] = read_pyproject()["tool"]["importlinter"]["contracts"]
    return contracts


@pytest.mark.parametrize("daemon", ["agent", "controld"])
def test_every_folder_and_module_of_a_daemon_has_its_place_on_the_way_down(daemon: str) -> None:
    (contract,) = (each for each in _contracts() if each.get("containers") == [daemon])
    listed = {name for layer in contract["layers"] for name in re.findall(r"\w+", layer)}
    present = {path.relative_to(ROOT / daemon).parts[0].removesuffix(".py") for path in list_files(f"{daemon}/*.py")}
    assert contract["exhaustive"] is True
    assert present - {"__init__"} <= listed


def test_every_package_of_ours_is_under_contract() -> None:
    linter = read_pyproject()["tool"]["importlinter"]
    assert set(linter["root_packages"]) == set(PACKAGES)
    tops = {path.relative_to(ROOT).parts[0] for path in list_files("*/__init__.py")}
    assert tops - {"tests", "benchmarks", "examples", "scripts"} == set(PACKAGES)
