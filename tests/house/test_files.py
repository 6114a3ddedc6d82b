"""Sizes, opening sentences and words that the project holds its files to."""

from __future__ import annotations

import ast
import os
import re

from tests.house.tree import PACKAGES, ROOT, list_files, name_of

_LONGEST_LINES = 400
# Files without a seam, each with its reason.
_LONG_FILES: dict[str, str] = {
    "controld/store/migrations/versions/0001_first_tables.py": "one migration makes every table of the first release",
}

_UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b")
_NOT_RUN = re.compile(r"(?:pytest\.|mark\.)(?:sk" r"ip|sk" r"ipif|xf" r"ail|importors" r"kip)\b|unittest\.sk" r"ip")
_MIRRORED = re.compile(rf"tests/(?P<folder>(?:{'|'.join(PACKAGES)})(?:/\w+)*)/test_(?P<name>\w+)\.py")


def test_no_file_of_code_is_longer_than_a_reader_holds() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in list_files("*.py", "scripts/*", ".ci/*")}
    assert {name: n for name, n in lengths.items() if n > _LONGEST_LINES and name not in _LONG_FILES} == {}


def test_the_list_of_long_files_names_only_files_that_are_long() -> None:
    assert [name for name in _LONG_FILES if len((ROOT / name).read_text().splitlines()) <= _LONGEST_LINES] == []


def test_every_module_opens_with_a_sentence() -> None:
    wrong = []
    for path in list_files("*.py"):
        text = path.read_text()
        if not text.strip():
            continue
        words = ast.get_docstring(ast.parse(text)) or ""
        if not re.match(r"[^\n]+(?:\n[^\n]+)*?[.:]", words):
            wrong.append(name_of(path))
    assert wrong == []


def test_nothing_is_marked_as_unfinished() -> None:
    texts = list_files("*.py", "*.sh", "*.md", "*.toml", "scripts/*", ".ci/*", "systemd/*", "web/*", "benchmarks/*")
    assert [name_of(path) for path in texts if _UNFINISHED.search(path.read_text(errors="replace"))] == []


def test_every_test_runs() -> None:
    assert [name_of(path) for path in list_files("tests/*.py") if _NOT_RUN.search(path.read_text())] == []


def test_every_script_can_be_started() -> None:
    scripts = [
        path
        for path in list_files("scripts/*", ".ci/*")
        if path.parent.name in {"scripts", ".ci"} and path.suffix != ".py"
    ]
    assert scripts
    assert [name_of(path) for path in scripts if not os.access(path, os.X_OK)] == []
    assert [name_of(path) for path in scripts if not path.read_text().startswith("#!/")] == []


def test_a_file_of_tests_stands_where_its_source_does() -> None:
    wrong = []
    for path in list_files("tests/*.py"):
        if (found := _MIRRORED.fullmatch(name_of(path))) is None or found["name"] == "battery":
            continue  # a battery holds for every module beside it
        folder = ROOT / found["folder"]
        sources = {source.stem.strip("_") for source in folder.glob("*.py")} | {
            source.name for source in folder.glob("*/")
        }
        words = found["name"].split("_")
        if not sources & {"_".join(words[:count]) for count in range(1, len(words) + 1)}:
            wrong.append(name_of(path))
    assert wrong == []
