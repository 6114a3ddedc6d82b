"""The walk over zstd frames: where pieces end, and what is refused before any decoder sees it."""

from __future__ import annotations

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kit.archive import faults
from kit.archive.frames import PIECE_OUTPUT_BYTES, Frames
from kit.archive.limits import Limits
from tests.kit.archive.build import zst

EMPTY_SKIPPABLE = b"\x50\x2a\x4d\x18" + bytes(4)
SKIPPABLE = b"\x5f\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
MAGIC = b"\x28\xb5\x2f\xfd"


def walk(data: bytes, step: int, limits: Limits | None = None) -> tuple[bytes, list[int]]:
    """All bytes that came out, and the offsets at which frames ended."""
    frames = Frames(limits or Limits())
    out = bytearray()
    ends = []
    for at in range(0, len(data), step):
        for piece in frames.feed(data[at : at + step]):
            out += piece.data
            if piece.ends_frame:
                ends.append(len(out))
    frames.finish()
    return bytes(out), ends


@given(
    parts=st.lists(
        st.sampled_from([EMPTY_SKIPPABLE, SKIPPABLE])
        | st.builds(zst, st.binary(max_size=400), checksum=st.booleans())
        | st.builds(lambda byte, count: zst(byte * count), st.binary(min_size=1, max_size=1), st.integers(0, 400_000)),
        min_size=1,
        max_size=5,
    ),
    step=st.integers(1, 500),
)
def test_every_byte_comes_out_and_frames_end_where_they_do_however_the_bytes_are_cut(
    parts: list[bytes], step: int
) -> None:
    data = b"".join(parts)
    out, ends = walk(data, step)
    assert out == data
    assert ends == [sum(map(len, parts[: count + 1])) for count in range(len(parts))]


def test_a_piece_of_a_bomb_decodes_to_little_more_than_its_bound() -> None:
    bomb = zst(bytes(256 << 20))
    decoder = zstandard.ZstdDecompressor().decompressobj()
    most = max(len(decoder.decompress(piece.data)) for piece in Frames(Limits()).feed(bomb))
    assert most <= PIECE_OUTPUT_BYTES + (128 << 10)


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_cut_frame_is_truncated(cut: int) -> None:
    with pytest.raises(faults.ArchiveTruncated, match="inside a zstd frame"):
        walk(zst(b"hello" * 100)[:-cut], 7)


def test_no_bytes_at_all_are_truncated() -> None:
    with pytest.raises(faults.ArchiveTruncated, match="empty"):
        walk(b"", 1)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        pytest.param(b"\x1f\x8b\x08\0\0\0\0\0", faults.NotZstd, id="gzip"),
        pytest.param(zst(b"a") + b"\x1f\x8b\x08\0\0", faults.ArchiveCorrupt, id="garbage after the frame"),
        pytest.param(MAGIC + b"\x00\xff" + bytes(9), faults.WindowTooLarge, id="window of terabytes"),
        pytest.param(MAGIC + b"\xa0" + b"\xff" * 4 + bytes(9), faults.WindowTooLarge, id="single segment of 4 GiB"),
        pytest.param(MAGIC + b"\x01\x00\x07" + bytes(9), faults.ArchiveCorrupt, id="dictionary"),
        pytest.param(MAGIC + b"\x00\x58\x06\0\0", faults.ArchiveCorrupt, id="reserved block type"),
        pytest.param(MAGIC + b"\x00\x58\xff\xff\xf9", faults.ArchiveCorrupt, id="block of 2 MiB"),
    ],
)
def test_what_no_decoder_should_see_is_refused(data: bytes, fault: type[Exception]) -> None:
    with pytest.raises(fault):
        walk(data, 3)


def test_the_window_limit_is_inclusive_and_names_the_remedy() -> None:
    stream = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters.from_level(1, window_log=24)
    ).compressobj()
    data = stream.compress(b"a" * 1000) + stream.flush()
    assert walk(data, 100, Limits(window_bytes=1 << 24))
    with pytest.raises(faults.WindowTooLarge, match="without --long"):
        walk(data, 100)


def test_frames_and_blocks_are_counted() -> None:
    assert walk(EMPTY_SKIPPABLE * 3, 5, Limits(frames=3))
    with pytest.raises(faults.ArchiveCorrupt, match="more than 2 zstd frames"):
        walk(EMPTY_SKIPPABLE * 3, 5, Limits(frames=2))
    with pytest.raises(faults.ArchiveCorrupt, match="more than 3 zstd blocks"):
        walk(zst(bytes(1 << 20)), 50, Limits(blocks=3))
