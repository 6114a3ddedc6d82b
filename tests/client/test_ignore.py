"""A push leaves at home what it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.ignore import is_ignored, read_ignored


@pytest.mark.parametrize(
    ("path", "patterns", "ignored"),
    [
        ("a.pyc", ("*.pyc",), True),
        ("deep/down/a.pyc", ("*.pyc",), True),
        ("build", ("/build",), True),
        ("deep/build", ("deep/build",), True),
        ("other/build", ("deep/build",), False),
        ("a.py", ("*.pyc",), False),
    ],
)
def test_a_pattern_names_paths_as_a_shell_would(path: str, patterns: tuple[str, ...], *, ignored: bool) -> None:
    assert is_ignored(path, patterns) is ignored


def test_the_history_never_travels_and_the_file_adds_to_it(tmp_path: Path) -> None:
    (tmp_path / ".moorageignore").write_text("# left at home\n\nnode_modules/\n")
    takes = read_ignored(tmp_path)
    assert [takes(path) for path in (".git", "node_modules", "web/node_modules", "main.py")] == [
        False,
        False,
        False,
        True,
    ]
