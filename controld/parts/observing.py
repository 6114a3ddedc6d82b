"""The parts that show what running services write, use and answer."""

from __future__ import annotations

import dataclasses

from controld.core.logs import Logs
from controld.core.metrics import Metrics
from controld.core.places import Places
from controld.core.requests import Requests
from controld.parts.ground import Ground
from controld.parts.nodes import NodeParts
from controld.parts.people import People
from controld.store.replicas import ReplicaStore


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observing:
    """Logs, readings and requests of services."""

    logs: Logs
    metrics: Metrics
    requests: Requests


def make_observing(ground: Ground, *, people: People, nodes: NodeParts) -> Observing:
    """The parts over the nodes' agents."""
    places = Places(database=ground.database, replicas=ReplicaStore(), directory=nodes.directory)
    services, agents = people.services, nodes.agents
    return Observing(
        logs=Logs(services=services, places=places, agents=agents, feed=ground.feed, clock=ground.clock),
        metrics=Metrics(services=services, nodes=nodes.nodes, places=places, agents=agents),
        requests=Requests(services=services, places=places, agents=agents),
    )
