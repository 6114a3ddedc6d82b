"""A name finds its commit, names before ids and branches before tags."""

from __future__ import annotations

import pytest

from agent.rules.git_refs import CommitId, NamedRef, ShortId, Wanted, choose_ref, list_names, parse_refs

_A, _B = "a" * 40, "b" * 40
_REFS = {"HEAD": _A, "refs/heads/main": _A, "refs/heads/cafe": _B, "refs/tags/v1": _A, "refs/tags/main": _B}


def test_refs_are_read_from_lines_of_id_and_name() -> None:
    assert parse_refs(f"{_A}\tHEAD\nnonsense\n{_B}\trefs/heads/x\n".encode()) == {"HEAD": _A, "refs/heads/x": _B}


@pytest.mark.parametrize(
    ("ref", "wanted"),
    [
        ("HEAD", NamedRef("HEAD")),
        ("main", NamedRef("refs/heads/main")),
        ("v1", NamedRef("refs/tags/v1")),
        ("refs/tags/main", NamedRef("refs/tags/main")),
        ("cafe", NamedRef("refs/heads/cafe")),
        ("beef", ShortId("beef")),
        ("BEEF1", ShortId("beef1")),
        (_A.upper(), CommitId(_A)),
        ("c" * 64, CommitId("c" * 64)),
        ("no", None),
        ("refs/heads/none", None),
        ("abc", None),
    ],
)
def test_a_ref_means_the_first_that_has_its_name(ref: str, wanted: Wanted | None) -> None:
    assert choose_ref(ref, _REFS) == wanted


def test_a_full_name_is_looked_for_as_it_is() -> None:
    assert list_names("refs/x") == ("refs/x",)
    assert list_names("x") == ("refs/heads/x", "refs/tags/x")
