"""A loop that writes pieces of 64 KB, framed before, to as many sockets as there are viewers."""

from __future__ import annotations

import socket
import sys

PIECE_BYTES = 64 * 1024


def main(viewers: int, lines: int) -> None:
    """Say the port, take the viewers in, and write so many lines to each."""
    event = b"id: 0190aaaa0000:0123abcd_1795318201490573-0\ndata: 1234567\n\n"
    piece = event * (PIECE_BYTES // len(event))
    whole, rest = divmod(lines * len(event), len(piece))
    with socket.create_server(("127.0.0.1", 0), backlog=viewers) as server:
        print(server.getsockname()[1], flush=True)
        sockets = [server.accept()[0] for _ in range(viewers)]
        sys.stdin.read(1)
        for _ in range(whole):
            for each in sockets:
                each.sendall(piece)
        for each in sockets:
            each.sendall(piece[:rest])
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
