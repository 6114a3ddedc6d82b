"""Safe unpacking of a tar.zst against `zstd -dc | tar x`: 240 MB in 10,000 files, rounds interleaved."""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import zstandard

from kit.archive.limits import Limits
from kit.archive.scan import Scanner

FILES = 10_000
TOTAL_BYTES = 240_000_000
_FILES_PER_FOLDER = 40
_NOISE_EVERY = 4
_CHUNK_BYTES = 1 << 20
_ROOT = Path(__file__).resolve().parent.parent
_OURS = """
import pathlib, sys
from kit.archive.extract import extract
extract(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Wall and CPU seconds of both sides in one round; children's CPU is counted."""

    ours_seconds: float
    ours_cpu_seconds: float
    theirs_seconds: float
    theirs_cpu_seconds: float


def build_corpus(path: Path) -> None:
    """Write the archive: log-normal file sizes, three files in four of words, one of noise; always the same."""
    rng = random.Random(7)
    words = [bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 10))) for _ in range(4000)]
    text = b" ".join(rng.choices(words, k=1_000_000))
    noise = rng.randbytes(8 << 20)
    weights = [rng.lognormvariate(0, 1.2) for _ in range(FILES)]
    scale = TOTAL_BYTES / sum(weights)
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    with (
        path.open("wb") as out,
        compressor.stream_writer(out) as writer,
        tarfile.open(fileobj=writer, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for at, weight in enumerate(weights):
            folder = f"app/module{at // _FILES_PER_FOLDER:03d}"
            if at % _FILES_PER_FOLDER == 0:
                info = tarfile.TarInfo(folder)
                info.type = tarfile.DIRTYPE
                info.mode = 0o755
                tar.addfile(info)
            data = _content(rng, noise if at % _NOISE_EVERY == 0 else text, int(weight * scale))
            info = tarfile.TarInfo(f"{folder}/file{at:05d}.js")
            info.size = len(data)
            info.mtime = at + 0.5  # a fraction makes the writer add a pax header, as it does for real files
            tar.addfile(info, io.BytesIO(data))


def measure_extract(archive: Path, place: Path, *, rounds: int = 5) -> list[Round]:
    """Unpack below the place with both sides in turn, each in fresh processes, after one round to warm up."""
    ours = [sys.executable, "-c", _OURS, str(archive)]
    theirs = ["sh", "-c", 'mkdir "$1" && zstd -dcq "$0" | tar -x -C "$1"', str(archive)]
    found = []
    for _ in range(rounds + 1):
        ours_seconds, ours_cpu_seconds = _run(ours, place)
        theirs_seconds, theirs_cpu_seconds = _run(theirs, place)
        found.append(
            Round(
                ours_seconds=ours_seconds,
                ours_cpu_seconds=ours_cpu_seconds,
                theirs_seconds=theirs_seconds,
                theirs_cpu_seconds=theirs_cpu_seconds,
            )
        )
    return found[1:]


def measure_scan(archive: Path, *, rounds: int = 5) -> list[Round]:
    """Check the archive in this process, against decoding and hashing it without looking at what comes out."""
    chunks = _chunks(archive)
    found = []
    for _ in range(rounds + 1):
        ours_seconds, ours_cpu_seconds = _time(lambda: _scan(chunks))
        theirs_seconds, theirs_cpu_seconds = _time(lambda: _decode(chunks))
        found.append(
            Round(
                ours_seconds=ours_seconds,
                ours_cpu_seconds=ours_cpu_seconds,
                theirs_seconds=theirs_seconds,
                theirs_cpu_seconds=theirs_cpu_seconds,
            )
        )
    return found[1:]


def build_noise(path: Path, size_bytes: int) -> None:
    """Write an archive of one file that does not compress."""
    info = tarfile.TarInfo("noise")
    info.size = size_bytes
    noise = random.Random(7).randbytes(_CHUNK_BYTES)
    with path.open("wb") as out, zstandard.ZstdCompressor(level=1).stream_writer(out) as writer:
        writer.write(info.tobuf())
        for at in range(0, size_bytes, _CHUNK_BYTES):
            turn = at // _CHUNK_BYTES % _CHUNK_BYTES
            writer.write((noise[turn:] + noise[:turn])[: size_bytes - at])
        writer.write(bytes(-size_bytes % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE))


def median_ratio(rounds: Sequence[Round]) -> tuple[float, float]:
    """Ours over theirs by the medians: wall time, CPU time."""

    def median(pick: Callable[[Round], float]) -> float:
        return statistics.median(map(pick, rounds))

    return (
        median(lambda one: one.ours_seconds) / median(lambda one: one.theirs_seconds),
        median(lambda one: one.ours_cpu_seconds) / median(lambda one: one.theirs_cpu_seconds),
    )


def _content(rng: random.Random, source: bytes, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        start = rng.randrange(len(source) - 1024)
        parts += source[start : start + min(size - len(parts), rng.randint(1024, 16_384))]
    return bytes(parts)


def _run(command: list[str], place: Path) -> tuple[float, float]:
    into = place / "into"
    try:
        return _time(lambda: subprocess.run([*command, str(into)], check=True, cwd=_ROOT))
    finally:
        shutil.rmtree(into, ignore_errors=True)


def _time(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of the work, CPU of this process and its ended children."""
    before = os.times()
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    return seconds, sum(os.times()[:4]) - sum(before[:4])


def _chunks(archive: Path) -> list[bytes]:
    data = archive.read_bytes()
    return [data[at : at + _CHUNK_BYTES] for at in range(0, len(data), _CHUNK_BYTES)]


def _scan(chunks: Sequence[bytes]) -> None:
    scanner = Scanner(Limits(compressed_bytes=sum(map(len, chunks))))
    for chunk in chunks:
        scanner.feed(chunk)
    scanner.finish()


def _decode(chunks: Sequence[bytes]) -> None:
    digest = hashlib.sha256()
    decoder = zstandard.ZstdDecompressor().decompressobj()
    for chunk in chunks:
        digest.update(chunk)
        decoder.decompress(chunk)


def _show(name: str, rounds: Sequence[Round]) -> None:
    wall, cpu = median_ratio(rounds)
    print(f"{name}: wall {wall:.2f}x, CPU {cpu:.2f}x")
    for one in rounds:
        print(
            f"  ours {one.ours_seconds:.3f} s ({one.ours_cpu_seconds:.2f} s CPU),"
            f" theirs {one.theirs_seconds:.3f} s ({one.theirs_cpu_seconds:.2f} s CPU)"
        )


def main() -> None:
    """Measure in each place given and print ratios and rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("places", nargs="*", type=Path, default=[Path("/dev/shm"), Path("/var/tmp")])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--noise-bytes", type=int, default=1 << 30)
    asked = parser.parse_args()
    for place in asked.places:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            archive = Path(folder) / "corpus.tar.zst"
            build_corpus(archive)
            _show(f"extract in {place}", measure_extract(archive, Path(folder), rounds=asked.rounds))
    with tempfile.TemporaryDirectory(dir=asked.places[0]) as folder:
        archive = Path(folder) / "archive.tar.zst"
        build_corpus(archive)
        _show("scan of the corpus", measure_scan(archive, rounds=asked.rounds))
        build_noise(archive, asked.noise_bytes)
        _show(f"scan of {asked.noise_bytes} bytes of noise", measure_scan(archive, rounds=asked.rounds))


if __name__ == "__main__":
    main()
