"""Of what a repository says of its submodules only plain paths with an address are taken."""

from __future__ import annotations

from agent.rules.git_modules import Submodule, parse_submodules


def test_submodules_are_read_from_gits_own_list() -> None:
    entries = (
        "submodule.a.path\nlib/a",
        "submodule.a.url\n../a.git",
        "submodule.b with.dots.url\nhttps://h/b",
        "submodule.b with.dots.path\nb",
        "submodule.c.path\n../c",
        "submodule.c.url\nhttps://h/c",
        "submodule.d.path\n/d",
        "submodule.d.url\nhttps://h/d",
        "submodule.e.path\ne",
        "submodule.f.path\nx/.git/hooks",
        "submodule.f.url\nhttps://h/f",
        "submodule.g.path\ng",
        "submodule.g.url\nhttps://h/g",
        "submodule.g.update\nnone",
        "core.bare\ntrue",
    )
    assert parse_submodules("\0".join(entries).encode()) == (
        Submodule("lib/a", "../a.git"),
        Submodule("b", "https://h/b"),
    )
