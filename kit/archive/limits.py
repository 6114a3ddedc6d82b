"""How large and how deep an archive may be."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that is accepted of each thing; a value equal to its limit is still accepted."""

    compressed_bytes: int = 512 * MIB
    """Length of the compressed stream."""
    uncompressed_bytes: int = 2048 * MIB
    """Sum of the sizes that the entries' headers state."""
    entries: int = 200_000
    """Files and directories that have a header."""
    implied_directories: int = 200_000
    """Directories that exist only because a path passes through them."""
    overhead_bytes: int = 1024 * MIB
    """What the tar file holds besides file contents: headers, padding and zeros after its end."""
    extension_bytes: int = MIB
    """One pax header or one GNU long name."""
    extensions_bytes: int = 128 * MIB
    """All pax headers and GNU long names together."""
    path_bytes: int = 2048
    """One path, normalised; leaves room for the target's own path under the kernel's 4096."""
    component_bytes: int = 255
    """One name within a path, as file systems have it."""
    depth: int = 128
    """Names in one path."""
    window_bytes: int = 8 * MIB
    """Memory one zstd frame may ask for; 8 MiB covers all levels up to 19."""
    frames: int = 65_536
    """zstd frames, skippable ones included."""
    blocks: int = 4_194_304
    """zstd blocks in all frames."""
