"""Which paths an archive may name."""

from __future__ import annotations

import pytest

from kit.archive.faults import PathForbidden, PathTaken, TooManyEntries
from kit.archive.limits import Limits
from kit.archive.paths import Tree, parse_path


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"a", b"a"),
        (b"./a/b", b"a/b"),
        (b"a//b/", b"a/b"),
        (b"a/./b", b"a/b"),
        (b".", b""),
        (b"./", b""),
        (b"...", b"..."),
        (b"..a/b..", b"..a/b.."),
        (b"a\\..\\b", b"a\\..\\b"),
        (b"C:", b"C:"),
        ("é".encode(), "é".encode()),
        (b"\xff\xfe", b"\xff\xfe"),
        (b"x" * 255, b"x" * 255),
    ],
)
def test_a_plain_path_is_brought_to_its_shortest_form(name: bytes, path: bytes) -> None:
    assert parse_path(name, Limits()) == path


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (b"", "empty"),
        (b"/etc/passwd", "absolute"),
        (b"//a", "absolute"),
        (b"..", "'..'"),
        (b"a/../b", "'..'"),
        (b"a/..", "'..'"),
        (b"./../a", "'..'"),
        (b"a\0b", "NUL"),
        (b"x" * 256, "longer than 255"),
        (b"a/" * 1500 + b"a", "deeper than 128"),
        (b"/".join([b"x" * 200] * 11), "longer than 2048"),
    ],
)
def test_a_path_that_leaves_or_passes_a_limit_is_refused(name: bytes, why: str) -> None:
    with pytest.raises(PathForbidden, match=why):
        parse_path(name, Limits())


def test_a_message_can_be_encoded_whatever_the_name_holds() -> None:
    with pytest.raises(PathForbidden) as caught:
        parse_path(b"/\xff\n\x1b[31m" + "\u202e".encode() + b"y" * 5000, Limits())
    assert caught.value.message.isprintable()
    assert len(caught.value.message.encode()) < 400


def test_directories_may_repeat_and_be_named_after_what_they_hold() -> None:
    tree = Tree(Limits())
    assert tree.add(b"./", is_directory=True) == b""
    assert tree.add(b"a/b/c", is_directory=False) == b"a/b/c"
    assert tree.add(b"a/b/", is_directory=True) == b"a/b"
    assert tree.add(b"./a/b", is_directory=True) == b"a/b"


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([(b"a", False), (b"./a", False)], id="file twice"),
        pytest.param([(b"a", False), (b"a", True)], id="directory over file"),
        pytest.param([(b"a", True), (b"a", False)], id="file over directory"),
        pytest.param([(b"a/b", False), (b"a", False)], id="file over implied directory"),
        pytest.param([(b"a", False), (b"a/b/c", False)], id="path through a file"),
    ],
)
def test_paths_that_exclude_each_other_are_refused(names: list[tuple[bytes, bool]]) -> None:
    tree = Tree(Limits())
    *fine, last = names
    for name, is_directory in fine:
        tree.add(name, is_directory=is_directory)
    with pytest.raises(PathTaken):
        tree.add(last[0], is_directory=last[1])


@pytest.mark.parametrize("name", [b".", b"a/"])
def test_a_file_named_as_a_directory_is_refused(name: bytes) -> None:
    with pytest.raises(PathForbidden, match="named as a directory"):
        Tree(Limits()).add(name, is_directory=False)


def test_directories_that_paths_imply_are_counted() -> None:
    tree = Tree(Limits(implied_directories=3))
    tree.add(b"a/b/c/f", is_directory=False)
    with pytest.raises(TooManyEntries, match="more than 3 directories"):
        tree.add(b"a/d/f", is_directory=False)
