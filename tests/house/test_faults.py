"""A fault's code means one thing in all of our programs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from kit.faults import Fault
from tests.house.tree import PACKAGES, import_all


def _all_faults() -> list[type[Fault]]:
    for _ in import_all():
        pass
    return sorted(set(_below(Fault)), key=lambda fault: (fault.__module__, fault.__qualname__))


def _below(fault: type[Fault]) -> Iterator[type[Fault]]:
    for child in fault.__subclasses__():
        if child.__module__.partition(".")[0] in PACKAGES:
            yield child
        yield from _below(child)


def test_each_code_belongs_to_one_fault() -> None:
    owners = defaultdict(list)
    for fault in _all_faults():
        owners[fault.code].append(f"{fault.__module__}.{fault.__qualname__}")
    assert {code: names for code, names in owners.items() if len(names) > 1} == {}


def test_each_code_is_written_in_lower_case_words() -> None:
    assert [fault.code for fault in _all_faults() if not re.fullmatch(r"[a-z][a-z0-9_]*", fault.code)] == []
