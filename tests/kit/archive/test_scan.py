"""Checking an archive while it arrives."""

from __future__ import annotations

import hashlib
import tarfile
import tracemalloc
from collections.abc import Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kit.archive import faults
from kit.archive.limits import Limits
from kit.archive.scan import Scanner
from kit.archive.summary import Summary
from kit.faults import Fault
from tests.kit.archive.build import END, directory, file, header, pax, tarfile_bytes, zst
from tests.kit.archive.traps import TRAPS, WHOLE

SKIPPABLE = b"\x51\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"


def scan(data: bytes, step: int = 1 << 16, limits: Limits | None = None) -> Summary:
    scanner = Scanner(limits or Limits())
    for at in range(0, len(data), step):
        scanner.feed(data[at : at + step])
    return scanner.finish()


def test_an_honest_archive_is_counted_and_hashed() -> None:
    data = zst(directory(b"d/") + file(b"d/a", b"hello") + file(b"b", b"x" * 1000) + END)
    assert scan(data) == Summary(
        entries=3,
        files=2,
        uncompressed_bytes=1005,
        compressed_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


@pytest.mark.parametrize("step", [1, 100, 1 << 20])
@pytest.mark.parametrize(("data", "fault"), TRAPS.values(), ids=TRAPS.keys())
def test_each_trap_has_its_fault_however_the_bytes_are_cut(data: bytes, fault: type[Fault], step: int) -> None:
    with pytest.raises(fault) as caught:
        scan(data, step)
    assert caught.value.code.startswith("archive_")
    assert caught.value.message.startswith("cannot read archive: ")
    assert caught.value.status == 400


@given(sizes=st.lists(st.integers(0, 300_000), max_size=6), cut=st.integers(0, 1 << 20), step=st.integers(1, 5000))
def test_any_split_into_frames_and_chunks_gives_the_same_counts(sizes: list[int], cut: int, step: int) -> None:
    tar = tarfile_bytes([(f"f{at}", bytes(size)) for at, size in enumerate(sizes)], tarfile.PAX_FORMAT)
    cut %= len(tar)
    summary = scan(SKIPPABLE + zst(tar[:cut]) + SKIPPABLE + zst(tar[cut:], checksum=False) + SKIPPABLE, step)
    assert (summary.files, summary.uncompressed_bytes) == (len(sizes), sum(sizes))


def test_every_cut_of_an_upload_is_truncated() -> None:
    for keep in range(len(WHOLE)):
        with pytest.raises(faults.ArchiveTruncated):
            scan(WHOLE[:keep])


def test_a_compressed_stream_past_its_limit_is_refused_as_too_large() -> None:
    assert scan(WHOLE, limits=Limits(compressed_bytes=len(WHOLE))).compressed_bytes == len(WHOLE)
    with pytest.raises(faults.CompressedTooLarge) as caught:
        scan(WHOLE, 1, Limits(compressed_bytes=len(WHOLE) - 1))
    assert caught.value.status == 413


def _compressed(pieces: Iterator[bytes]) -> bytes:
    stream = zstandard.ZstdCompressor(level=1).compressobj()
    return b"".join(stream.compress(piece) for piece in pieces) + stream.flush()


def _zeros(count: int) -> Iterator[bytes]:
    return (bytes(1 << 20) for _ in range(count >> 20))


def _peak_bytes(data: bytes, fault: type[Fault], limits: Limits | None = None) -> int:
    """The most memory that Python held while the archive, given in one chunk, was refused."""
    tracemalloc.start()
    try:
        with pytest.raises(fault):
            scan(data, len(data), limits)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_file_of_zeros_past_the_limit_costs_no_memory() -> None:
    bomb = _compressed(iter([header(b"a", size=4 << 30), *_zeros(256 << 20)]))
    assert len(bomb) < 1 << 20
    assert _peak_bytes(bomb, faults.UncompressedTooLarge) < 8 << 20


def test_zeros_without_a_file_are_stopped_at_the_limit_in_bounded_memory() -> None:
    assert _peak_bytes(_compressed(_zeros(2 << 30)), faults.UncompressedTooLarge) < 8 << 20


def test_ten_million_entries_stop_at_the_limit_in_bounded_memory() -> None:
    thousand = header(b"d", kind=b"5") * 1000
    bomb = _compressed(thousand for _ in range(10_000))
    assert len(bomb) < 1 << 20
    assert _peak_bytes(bomb, faults.TooManyEntries, Limits(entries=20_000)) < 8 << 20


def test_distinct_long_paths_up_to_the_limit_are_remembered_in_little_memory() -> None:
    limits = Limits(entries=20_000)
    data = _compressed(
        pax({b"path": b"%05d/" % at + b"x" * 250 + b"/" + b"y" * 250}) + file(b"f") for at in range(20_001)
    )
    assert _peak_bytes(data, faults.TooManyEntries, limits) < 12 << 20
