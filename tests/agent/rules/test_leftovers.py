"""Images that nothing needs are found, and none that anything or anybody else has a use for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from agent.model.engine import HeldImage
from agent.rules.leftovers import judge_images

REGISTRY = "127.0.0.1:7191"
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def make_image(number: int, *references: str, node_id: str = "n1", id_: str = "") -> HeldImage:
    return HeldImage(
        id=id_ or f"sha256:{number}",
        references=references,
        node_id=node_id,
        created_at=START + dt.timedelta(hours=number),
        size_bytes=1000,
    )


def make_builds(count: int, repository: str = "shop/web") -> list[HeldImage]:
    name = f"{REGISTRY}/{repository}"
    return [
        make_image(n, f"{name}@sha256:{n}", f"{name}:deployment-{n}", id_=f"sha256:{repository}-{n}")
        for n in range(1, count + 1)
    ]


def find(
    images: list[HeldImage], *, wanted: Collection[str] = (), kept: int = 3, brought: Collection[str] = ()
) -> tuple[str, ...]:
    """The names of what may go."""
    judged = judge_images(
        images,
        node_id="n1",
        registry=REGISTRY,
        brought=dict.fromkeys(brought, START),
        wanted=wanted,
        kept=kept,
    )
    return tuple(name for each in judged if not each.is_needed and not each.is_fresh for name in each.names)


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


def test_what_was_brought_from_elsewhere_goes_by_the_name_that_it_came_under() -> None:
    digest = "ghcr.io/team/app@sha256:1"
    images = [make_image(1, "ghcr.io/team/app:1", digest, "mine:1"), make_image(2, "nginx:1", node_id="")]
    assert find(images, kept=0, brought=["ghcr.io/team/app:1"]) == ("ghcr.io/team/app:1",)
    assert find(images, kept=0, brought=["ghcr.io/team/app:1"], wanted=[digest]) == ()
    assert find(images, kept=1, brought=["ghcr.io/team/app:1"]) == ()


def test_an_image_is_as_old_as_its_stay_here() -> None:
    (one,) = judge_images(
        [make_image(1, "nginx:1")],
        node_id="n1",
        registry=REGISTRY,
        brought={"nginx:1": START + dt.timedelta(days=3)},
        wanted=(),
        kept=0,
    )
    assert one.since == START + dt.timedelta(days=3)
