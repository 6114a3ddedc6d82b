"""Images that nothing needs are found, and none that anything or anybody else has a use for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from agent.model.engine import HeldImage
from agent.rules.leftovers import find_unneeded

REGISTRY = "127.0.0.1:7191"
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def make_image(number: int, *references: str, node_id: str = "n1", id_: str = "") -> HeldImage:
    return HeldImage(
        id=id_ or f"sha256:{number}",
        references=references,
        node_id=node_id,
        created_at=START + dt.timedelta(hours=number),
    )


def make_builds(count: int, repository: str = "shop/web") -> list[HeldImage]:
    name = f"{REGISTRY}/{repository}"
    return [
        make_image(n, f"{name}@sha256:{n}", f"{name}:deployment-{n}", id_=f"sha256:{repository}-{n}")
        for n in range(1, count + 1)
    ]


def find(images: list[HeldImage], *, wanted: Collection[str] = (), kept: int = 3) -> tuple[str, ...]:
    return find_unneeded(images, node_id="n1", registry=REGISTRY, wanted=wanted, kept=kept)


def test_all_but_the_newest_of_each_repository_go_tags_before_digests() -> None:
    name = f"{REGISTRY}/shop/web"
    assert find([*make_builds(5), *make_builds(2, "shop/api")]) == (
        f"{name}:deployment-1",
        f"{name}@sha256:1",
        f"{name}:deployment-2",
        f"{name}@sha256:2",
    )


def test_what_is_wanted_by_reference_or_id_stays_with_all_its_names() -> None:
    images = make_builds(3)
    assert (
        find(images, wanted={f"{REGISTRY}/shop/web@sha256:1", "sha256:shop/web-2", "sha256:shop/web-3"}, kept=0) == ()
    )


def test_nameless_images_go_only_when_they_were_built_here() -> None:
    assert find([make_image(1), make_image(2, node_id="n2")]) == ("sha256:1",)
    assert find([make_image(1)], wanted={"sha256:1"}) == ()


def test_names_outside_the_hosted_registry_are_a_persons_and_stay() -> None:
    assert find([make_image(1, "mine:latest"), make_image(2, "127.0.0.1:71910/shop/web:1")], kept=0) == ()


def test_an_image_built_on_another_node_and_pulled_here_goes_too() -> None:
    reference = f"{REGISTRY}/shop/web@sha256:1"
    assert find([make_image(1, reference, node_id="n2")], kept=0) == (reference,)
