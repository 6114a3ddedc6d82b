"""Counters of the machine that only its own Prometheus page tells."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """Cumulative time in which processes waited for a resource."""

    resource: str
    """cpu, memory or io."""
    some_usec: int
    """At least one waited."""
    full_usec: int | None
    """All that were not idle did; None where the kernel does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes through a disk or a network interface since boot: in is read or received."""

    name: str
    in_bytes: int
    out_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCounters:
    """What the kernel tells; what it does not is empty."""

    pressure: tuple[Pressure, ...] = ()
    disks: tuple[Traffic, ...] = ()
    interfaces: tuple[Traffic, ...] = ()
