"""What a Range header asks for."""

from __future__ import annotations

import pytest

from kit.http.ranges import parse_range


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=2-5", (2, 4)),
        ("bytes=2-", (2, 8)),
        ("bytes=-3", (7, 3)),
        ("bytes=-30", (0, 10)),
        ("bytes=5-99", (5, 5)),
        (" Bytes= 1-2 ", (1, 2)),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=" + "9" * 30 + "-", None),
    ],
)
def test_a_part_of_ten_bytes(header: str | None, part: tuple[int, int] | None) -> None:
    assert parse_range(header, size_bytes=10) == part


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=5-4", "bytes=-0"])
def test_a_part_that_is_not_there(header: str) -> None:
    with pytest.raises(ValueError, match="there are 10 bytes"):
        parse_range(header, size_bytes=10)


def test_nothing_has_no_part() -> None:
    with pytest.raises(ValueError, match="there are 0 bytes"):
        parse_range("bytes=0-0", size_bytes=0)
