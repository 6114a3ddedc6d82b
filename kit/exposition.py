"""Numbers as the text that Prometheus scrapes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

Sample = tuple[Mapping[str, str], float | None]
"""Labels and a value; None is not known and is left out."""


class Histogram:
    """Counts values by how large they are; a bucket holds those up to its bound, which is included."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def __len__(self) -> int:
        return sum(self._counts)

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def tell(self, name: str, labels: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, str], float]]:
        """Name, labels and value of each of its samples."""
        bounds = (*(repr(float(bound)) for bound in self._bounds), "+Inf")
        for bound, count in zip(bounds, accumulate(self._counts), strict=True):
            yield f"{name}_bucket", {**labels, "le": bound}, float(count)
        yield f"{name}_sum", labels, self._sum
        yield f"{name}_count", labels, float(len(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Samples of one name; `kind` is `gauge`, `counter` or `histogram`, and the name of a counter ends in `_total`."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...] = ()
    histograms: tuple[tuple[Mapping[str, str], Histogram], ...] = ()


def gauge(name: str, help_: str, *samples: Sample) -> Family:
    """A number that goes up and down."""
    return Family(name=name, kind="gauge", help=help_, samples=samples)


def counter(name: str, help_: str, *samples: Sample) -> Family:
    """A number that only grows."""
    return Family(name=name, kind="counter", help=help_, samples=samples)


def histogram(name: str, help_: str, *histograms: tuple[Mapping[str, str], Histogram]) -> Family:
    """Numbers of which it is told how many were how large."""
    return Family(name=name, kind="histogram", help=help_, histograms=histograms)


def render_exposition(families: Iterable[Family]) -> bytes:
    """The text, version 0.0.4; a family without a known sample is left out."""
    lines: list[str] = []
    for family in families:
        known = [(family.name, labels, value) for labels, value in family.samples if value is not None]
        for labels, counted in family.histograms:
            known += counted.tell(family.name, labels)
        if not known:
            continue
        lines.append(f"# HELP {family.name} {family.help}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        lines += [f"{name}{_render_labels(labels)} {value!r}" for name, labels, value in known]
    return ("\n".join(lines) + "\n").encode()


def _render_labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items()) + "}"
