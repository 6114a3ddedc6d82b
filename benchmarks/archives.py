"""Archives that rows upload and unpack: always the same bytes."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path
from typing import Final

import zstandard

CORPUS_FILES: Final = 10_000
CORPUS_BYTES: Final = 240_000_000
_FILES_PER_FOLDER: Final = 40
_NOISE_EVERY: Final = 4
_CHUNK_BYTES: Final = 1 << 20


def build_corpus(path: Path, *, files: int = CORPUS_FILES, total_bytes: int = CORPUS_BYTES) -> None:
    """Write a tar.zst of log-normal file sizes, three files in four of words, one of noise."""
    rng = random.Random(7)
    words = [bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 10))) for _ in range(4000)]
    text = b" ".join(rng.choices(words, k=1_000_000))
    noise = rng.randbytes(8 << 20)
    weights = [rng.lognormvariate(0, 1.2) for _ in range(files)]
    scale = total_bytes / sum(weights)
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


def build_noise(path: Path, size_bytes: int) -> None:
    """Write a tar.zst of one file of random bytes, which compression leaves as long as they were."""
    info = tarfile.TarInfo("noise")
    info.size = size_bytes
    rng = random.Random(7)
    with path.open("wb") as out, zstandard.ZstdCompressor(level=1).stream_writer(out) as writer:
        writer.write(info.tobuf())
        for at in range(0, size_bytes, _CHUNK_BYTES):
            writer.write(rng.randbytes(min(_CHUNK_BYTES, size_bytes - at)))
        writer.write(bytes(-size_bytes % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE))


def _content(rng: random.Random, source: bytes, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        start = rng.randrange(len(source) - 1024)
        parts += source[start : start + min(size - len(parts), rng.randint(1024, 16_384))]
    return bytes(parts)
