"""Finds the images that a node holds of ours and has no use for any more."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agent.model.engine import HeldImage
from agent.rules.image_references import split_reference


def find_unneeded(
    images: Sequence[HeldImage], *, node_id: str, registry: str, wanted: Collection[str], kept: int
) -> tuple[str, ...]:
    """The references to remove, and the ids of images that have none; tags come before digests.

    Of each repository of `registry`, the hosted one as this node names it, the newest `kept` images stay, and so does
    what `wanted` names by a reference or an id. A nameless image goes when it was built here. Every other name is a
    person's, whatever labels the image inherited.
    """
    fresh = _find_newest(images, registry=registry, kept=kept)
    found: list[str] = []
    for image in images:
        if image.id in wanted or any(reference in wanted for reference in image.references):
            continue
        if not image.references:
            found += [image.id] if image.node_id == node_id else []
        elif image.id not in fresh:
            found += _hosted(image, registry)
    return tuple(found)


def _find_newest(images: Sequence[HeldImage], *, registry: str, kept: int) -> set[str]:
    repositories: dict[str, list[str]] = {}
    for image in sorted(images, key=lambda one: one.created_at, reverse=True):
        for repository in {split_reference(reference)[0] for reference in _hosted(image, registry)}:
            repositories.setdefault(repository, []).append(image.id)
    return {id_ for ids in repositories.values() for id_ in ids[:kept]}


def _hosted(image: HeldImage, registry: str) -> list[str]:
    """Its references in the hosted registry; the engine drops the digest with the last tag of a repository."""
    hosted = [reference for reference in image.references if reference.startswith(f"{registry}/")]
    return sorted(hosted, key=lambda reference: ("@" in reference, reference))
