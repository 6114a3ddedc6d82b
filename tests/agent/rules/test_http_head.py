"""The head of an answer is read as it comes, and what is no HTTP is known at once."""

from __future__ import annotations

import pytest

from agent.rules.http_head import MOST_BYTES, Head, parse_head


@pytest.mark.parametrize(
    ("data", "head"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Head(status=200, end=40)),
        (b"HTTP/1.0 200\r\nServer: x\r\n\r\n", Head(status=200, end=None)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Head(status=204, end=27)),
        (b"HTTP/1.1 302 Found\ncontent-length:0\nLocation: /\n\n", Head(status=302, end=49)),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\n\r\n", Head(status=503, end=None)),
        (b"HTTP/1.1 200 OK\r\nX-Content-Length: 9\r\n\r\nContent-Length: 5\r\n\r\n", Head(status=200, end=None)),
    ],
)
def test_a_head_is_read_once_it_is_whole(data: bytes, head: Head) -> None:
    assert parse_head(data) == head
    assert [parse_head(data[:size]) for size in (1, 5, 12, 20)] == [None] * 4


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 999 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * MOST_BYTES,
        b"HTTP/1.1 200 " + b"x" * MOST_BYTES,
    ],
)
def test_what_is_no_answer_of_http_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"status of HTTP/1|head is longer"):
        parse_head(data)
