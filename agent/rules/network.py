"""Network counters from the kernel's words."""

from __future__ import annotations

_SENT: int = 8
_LOOPBACK: bytes = b"lo"


def parse_net_dev(data: bytes) -> tuple[int, int] | None:
    """Bytes received and sent over all interfaces but loopback, from `/proc/<pid>/net/dev`; None if there is none."""
    received = sent = 0
    found = False
    for line in data.splitlines():
        name, colon, numbers = line.partition(b":")
        fields = numbers.split()
        if not colon or name.strip() == _LOOPBACK or len(fields) <= _SENT:
            continue
        if fields[0].isdigit() and fields[_SENT].isdigit():
            found = True
            received += int(fields[0])
            sent += int(fields[_SENT])
    return (received, sent) if found else None
