"""A commit's list of files is summed before one of them is written."""

from __future__ import annotations

from agent.rules.git_tree import parse_tree

_ID = "a" * 40


def test_sizes_depth_and_pinned_commits_are_read() -> None:
    lines = (
        f"100644 blob {_ID}      12\ta",
        f"120000 blob {_ID}       3\tdeep/er/link",
        f"160000 commit {_ID}       -\tlib with space",
        "nonsense",
    )
    tree = parse_tree("\0".join(lines).encode() + b"\0")
    assert (tree.entries, tree.size_bytes, tree.deepest) == (3, 15, 3)
    assert tree.links == {"lib with space": _ID}
    assert parse_tree(b"").entries == 0
