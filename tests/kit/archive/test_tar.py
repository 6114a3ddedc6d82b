"""The tar parser: what it reads as the standard library does, and what it refuses."""

from __future__ import annotations

import contextlib
import io
import itertools
import tarfile
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.archive import faults
from kit.archive.limits import Limits
from kit.archive.tar import Entry, Parser
from kit.faults import Fault
from tests.kit.archive.build import END, directory, file, gnu_long_name, header, pax, pax_record, tarfile_bytes

Read = list[tuple[bytes, bool, bytes, bool]]


def read(chunks: Sequence[bytes], limits: Limits | None = None) -> Read:
    """Name, whether a directory, data and whether executable of each entry."""
    parser = Parser(limits or Limits())
    found: list[tuple[Entry, bytearray]] = []
    for chunk in chunks:
        for event in parser.feed(chunk):
            if isinstance(event, Entry):
                found.append((event, bytearray()))
            else:
                found[-1][1].extend(event)
    parser.finish()
    assert parser.entries == len(found)
    assert parser.uncompressed_bytes == sum(len(data) for _, data in found)
    assert all(entry.size_bytes == len(data) for entry, data in found)
    return [(entry.name, entry.is_directory, bytes(data), entry.executable) for entry, data in found]


names = st.lists(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60),
    min_size=1,
    max_size=6,
).map("/".join)
trees = st.dictionaries(names, st.none() | st.binary(max_size=2000), max_size=8)
formats = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


@given(tree=trees, tar_format=formats, cuts=st.lists(st.integers(0, 20_000), max_size=12))
def test_any_archive_of_the_standard_library_reads_the_same_however_it_is_cut(
    tree: dict[str, bytes | None], tar_format: int, cuts: list[int]
) -> None:
    try:
        data = tarfile_bytes(tree.items(), tar_format)
    except ValueError:  # ustar cannot spell the name
        data = tarfile_bytes(tree.items(), tarfile.PAX_FORMAT)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        expected = [
            (member.name.encode(), member.isdir(), b"" if member.isdir() else tar.extractfile(member).read())  # type: ignore[union-attr]
            for member in tar
        ]
    places = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    chunks = [data[start:end] for start, end in itertools.pairwise(places)]
    assert [(name.rstrip(b"/") if is_dir else name, is_dir, body) for name, is_dir, body, _ in read(chunks)] == expected


def test_one_byte_at_a_time_reads_the_same() -> None:
    data = (
        pax({b"path": b"p" * 200}) + file(b"short", b"abc" * 300) + gnu_long_name(b"q" * 300) + file(b"x", b"1") + END
    )
    assert read([data[at : at + 1] for at in range(len(data))]) == read([data])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(file(b"a", b"hi"), (b"a", False, b"hi", False), id="ustar"),
        pytest.param(file(b"a", b"hi", magic=b"\0" * 8, kind=b"\0"), (b"a", False, b"hi", False), id="v7"),
        pytest.param(header(b"a/", magic=b"\0" * 8, kind=b"\0"), (b"a/", True, b"", False), id="v7 directory"),
        pytest.param(file(b"a", b"x", mode=0o4755), (b"a", False, b"x", True), id="executable"),
        pytest.param(file(b"a", b"x", prefix=b"long"), (b"long/a", False, b"x", False), id="prefix"),
        pytest.param(
            file(b"a", b"x", prefix=b"00001", magic=b"ustar  \0"),
            (b"a", False, b"x", False),
            id="GNU times are no prefix",
        ),
        pytest.param(
            header(b"a", size_field=b"\x80" + bytes(10) + b"\x02") + b"hi".ljust(512, b"\0"),
            (b"a", False, b"hi", False),
            id="base-256 size",
        ),
        pytest.param(pax({b"path": b"new"}) + file(b"old", b"x"), (b"new", False, b"x", False), id="pax path"),
        pytest.param(
            pax({b"size": b"3"}) + header(b"a", size=0) + b"abc".ljust(512, b"\0"),
            (b"a", False, b"abc", False),
            id="pax size",
        ),
        pytest.param(
            pax({b"comment": b"c"}, kind=b"g") + file(b"a", b"x"), (b"a", False, b"x", False), id="global comment"
        ),
        pytest.param(
            gnu_long_name(b"n" * 500) + file(b"nnn", b"x"), (b"n" * 500, False, b"x", False), id="GNU long name"
        ),
        pytest.param(header(b"a", size_field=bytes(12)), (b"a", False, b"", False), id="blank size"),
    ],
)
def test_each_way_to_write_an_entry_is_read(data: bytes, expected: tuple[bytes, bool, bytes, bool]) -> None:
    assert read([data + END]) == [expected]


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (b"1", "a hard link"),
        (b"2", "a symbolic link"),
        (b"3", "a character device"),
        (b"4", "a block device"),
        (b"6", "a fifo"),
        (b"S", "a sparse file"),
        (b"V", "a volume label"),
        (b"M", "a continued file"),
        (b"X", "of unknown type 'X'"),
    ],
)
def test_anything_but_files_and_directories_is_refused_by_name_and_type(kind: bytes, what: str) -> None:
    with pytest.raises(faults.EntryForbidden, match=f"'bad/one' is {what}"):
        read([file(b"good") + header(b"bad/one", kind=kind, link=b"/etc/passwd") + END])


def test_a_link_with_a_long_target_and_a_long_name_is_refused_by_its_long_name() -> None:
    data = gnu_long_name(b"t" * 200, kind=b"K") + gnu_long_name(b"longer" * 20) + header(b"l", kind=b"2") + END
    with pytest.raises(faults.EntryForbidden, match=r"longerlonger.* is a symbolic link"):
        read([data])


@pytest.mark.parametrize("key", [b"GNU.sparse.major", b"GNU.sparse.map", b"GNU.sparse.realsize"])
def test_a_sparse_file_in_pax_words_is_refused(key: bytes) -> None:
    with pytest.raises(faults.EntryForbidden, match="sparse"):
        read([pax({key: b"1"}) + file(b"a", b"x") + END])


CORRUPT = {
    "octal size with a sign": header(b"a", size_field=b"-0000000010\0"),
    "size that Python alone reads": header(b"a", size_field=b"0o000000_10\0"),
    "size with an eight": header(b"a", size_field=b"00000000008\0"),
    "negative base-256 size": header(b"a", size_field=b"\xff" * 12),
    "pax size with a sign": pax({b"size": b"-1"}) + file(b"a"),
    "pax size of words": pax({b"size": b"many"}) + file(b"a"),
    "blank pax size": pax({b"size": b""}) + file(b"a"),
    "pax size of a thousand digits": pax({b"size": b"1" * 1000}) + file(b"a"),
    "pax size shorter than the data": pax({b"size": b"1"}) + file(b"a", b"x" * 1024),
    "directory with data": header(b"d", kind=b"5", size=512) + bytes(512),
    "two pax headers for one entry": pax({b"path": b"a"}) + pax({b"path": b"b"}) + file(b"c"),
    "GNU and pax long names for one entry": gnu_long_name(b"a") + pax({b"path": b"b"}) + file(b"c"),
    "pax header at the end": file(b"a") + pax({b"path": b"b"}),
    "pax record longer than its header": file(b"x", b"99 path=a\n", kind=b"x") + file(b"a"),
    "pax record shorter than its length": file(b"x", b"5 path=a\n", kind=b"x") + file(b"a"),
    "pax record of length zero": file(b"x", b"0 path=a\n", kind=b"x") + file(b"a"),
    "pax record with a signed length": file(b"x", b"+9 path=a\n", kind=b"x") + file(b"a"),
    "pax record without a key": file(b"x", pax_record(b"", b"a"), kind=b"x") + file(b"a"),
    "bytes after the end": file(b"a") + END + b"x",
    "entry after the end": file(b"a") + END + file(b"b"),
    "wrong checksum": file(b"a") + header(b"b")[:-1] + b"x",
    "pax header past the limit": header(b"x", kind=b"x", size=(1 << 20) + 1),
}


@pytest.mark.parametrize("data", CORRUPT.values(), ids=CORRUPT.keys())
def test_a_contradiction_is_refused(data: bytes) -> None:
    with pytest.raises(faults.ArchiveCorrupt):
        read([data + END])


def test_what_does_not_begin_as_tar_is_told_from_what_goes_wrong_later() -> None:
    with pytest.raises(faults.NotTar):
        read([b"#!/bin/sh\n" * 200])


@pytest.mark.parametrize("keep", [0, 1, 511, 512, 600, 1024])
def test_a_cut_archive_is_truncated(keep: int) -> None:
    with pytest.raises(faults.ArchiveTruncated):
        read([(file(b"a", b"x") + END)[:keep]])


def test_one_end_block_is_enough_and_padding_after_it_is_read_over() -> None:
    assert read([file(b"a") + bytes(512)]) == read([file(b"a") + bytes(20 * 512)])


def test_an_archive_of_nothing_but_its_end_is_empty() -> None:
    assert read([END]) == []


def test_a_pax_path_counts_for_one_entry_only() -> None:
    data = pax({b"path": b"first"}) + file(b"a") + file(b"b") + END
    assert [name for name, *_ in read([data])] == [b"first", b"b"]


def test_limits_are_inclusive() -> None:
    data = file(b"a", b"123") + directory(b"d") + END
    assert len(read([data], Limits(entries=2, uncompressed_bytes=3))) == 2
    with pytest.raises(faults.TooManyEntries, match="more than 1 entries"):
        read([data], Limits(entries=1))
    with pytest.raises(faults.UncompressedTooLarge, match="more than 2 bytes, reached at 'a'"):
        read([data], Limits(uncompressed_bytes=2))


def test_a_size_past_the_limit_is_refused_at_the_header_before_any_data() -> None:
    with pytest.raises(faults.UncompressedTooLarge):
        list(Parser(Limits()).feed(header(b"a", size=(2 << 30) + 1)))


def test_headers_and_end_padding_are_bounded_too() -> None:
    limits = Limits(overhead_bytes=4096)
    assert read([file(b"a", b"x") + bytes(2048)], limits)
    with pytest.raises(faults.UncompressedTooLarge, match="besides its files"):
        read([file(b"a", b"x") + bytes(8192)], limits)
    with pytest.raises(faults.UncompressedTooLarge, match="besides its files"):
        read([pax({b"a": b"b"}, kind=b"g") * 5 + END], limits)


def test_long_names_together_are_bounded() -> None:
    one = gnu_long_name(b"n" * 999) + file(b"n")
    with pytest.raises(faults.ArchiveCorrupt, match="passes the limit"):
        read([one * 4 + END], Limits(extensions_bytes=3500))


@given(data=st.binary(max_size=3000))
def test_random_bytes_raise_nothing_but_faults(data: bytes) -> None:
    with contextlib.suppress(Fault):
        read([header(b"a", size=5), data])
