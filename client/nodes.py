"""`moorage nodes`, `join-token`, `drain`, `undrain`, `label` and `scale`: machines, and how much of what they run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from client.api import Api
from client.messages import Node
from client.opening import open_api
from client.services import find_service
from kit.faults import Invalid, NotFound


class NoSuchNode(NotFound):
    """No node of that name or id."""

    code = "no_such_node"


async def show_nodes(config: Path) -> None:
    """A line for each node: name, state, when it was last heard, labels, id."""
    async with open_api(config) as api:
        for node in await api.list_nodes():
            heard = "never" if node.heard_at is None else f"{node.heard_at:%Y-%m-%d %H:%M:%S}"
            labels = ",".join(f"{name}={value}" for name, value in sorted(node.labels.items()))
            print(f"{node.name}\t{node.state}\t{heard}\t{labels}\t{node.id}")


async def make_join_token(config: Path, name: str | None) -> None:
    """Print a word with which one machine becomes a node, or again the node of that name."""
    async with open_api(config) as api:
        made = await api.make_join_token(node_id=None if name is None else (await _find(api, name)).id)
    print(made.token)
    print(f"it serves once, until {made.expires_at:%Y-%m-%d %H:%M:%S} UTC", file=sys.stderr)


async def drain_node(config: Path, name: str) -> None:
    """Set a node aside, and say what still has to leave it."""
    async with open_api(config) as api:
        node = await api.drain_node((await _find(api, name)).id)
        print(f"{node.name} is {node.state}")
        for replica in (await api.get_node(node.id)).replicas:
            waits = f": {replica.waits_for}" if replica.waits_for else ""
            print(f"{replica.service}\t{replica.index}\t{replica.wanted}{waits}")


async def undrain_node(config: Path, name: str) -> None:
    """Take a node into use again."""
    async with open_api(config) as api:
        node = await api.undrain_node((await _find(api, name)).id)
        print(f"{node.name} is {node.state}")


async def label_node(config: Path, name: str, words: Sequence[str]) -> None:
    """Set labels, each `name=value`; `name-` takes one away."""
    labels = dict(map(_read_label, words))
    async with open_api(config) as api:
        node = await api.label_node((await _find(api, name)).id, labels)
        print("".join(f"{name}={value}\n" for name, value in sorted(node.labels.items())), end="")


async def scale_service(config: Path, name: str, replicas: int) -> None:
    """Let a service run so many replicas."""
    async with open_api(config) as api:
        service = await api.get_service((await find_service(api, name)).id)
        scaled = await api.put_service({**service, "replicas": replicas})
        print(f"{scaled.name} is to run {replicas} replicas")


def _read_label(word: str) -> tuple[str, str | None]:
    name, mark, value = word.partition("=")
    if mark:
        return name, value
    if word.endswith("-") and len(word) > 1:
        return word[:-1], None
    raise Invalid(f"cannot read the label {word!r}: write name=value, or name- to take it away")


async def _find(api: Api, name: str) -> Node:
    for node in await api.list_nodes():
        if name in {node.name, node.id}:
            return node
    raise NoSuchNode(f"cannot find the node {name}: `moorage nodes` lists them")
