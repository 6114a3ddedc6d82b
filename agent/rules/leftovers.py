"""Tells which images on a node are ours, and which of them the node has no use for any more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

from agent.model.engine import HeldImage
from agent.model.images import OwnImage
from agent.rules.image_references import split_reference


def judge_images(
    images: Sequence[HeldImage],
    *,
    node_id: str,
    registry: str,
    brought: Mapping[str, dt.datetime],
    wanted: Collection[str],
    kept: int,
) -> tuple[OwnImage, ...]:
    """The images of ours, each with whether it is needed: `wanted` names it by a reference or an id.

    Ours is what has a name in `registry`, the hosted one as this node names it, a name in `brought`, or no name at all
    and was built here. Every other name is a person's, whatever labels the image inherited, and keeps the image from
    going. Of each repository the newest `kept` images are fresh.
    """
    fresh = _find_newest(images, registry=registry, brought=brought, kept=kept)
    found: list[OwnImage] = []
    for image in images:
        names = _own_names(image, registry=registry, brought=brought)
        if not names and (image.references or image.node_id != node_id):
            continue
        found.append(
            OwnImage(
                id=image.id,
                names=names or (image.id,),
                size_bytes=image.size_bytes,
                since=min((brought[name] for name in names if name in brought), default=image.created_at),
                is_needed=image.id in wanted or any(reference in wanted for reference in image.references),
                is_fresh=image.id in fresh,
            )
        )
    return tuple(found)


def _find_newest(
    images: Sequence[HeldImage], *, registry: str, brought: Mapping[str, dt.datetime], kept: int
) -> set[str]:
    repositories: dict[str, list[str]] = {}
    for image in sorted(images, key=lambda one: one.created_at, reverse=True):
        names = _own_names(image, registry=registry, brought=brought)
        for repository in {split_reference(reference)[0] for reference in names}:
            repositories.setdefault(repository, []).append(image.id)
    return {id_ for ids in repositories.values() for id_ in ids[:kept]}


def _own_names(image: HeldImage, *, registry: str, brought: Mapping[str, dt.datetime]) -> tuple[str, ...]:
    """Its names that are ours; the engine drops the digest with the last tag of a repository."""
    own = [name for name in image.references if name.startswith(f"{registry}/") or name in brought]
    return tuple(sorted(own, key=lambda name: ("@" in name, name)))
