"""The parts that show the nodes and the services as they run."""

from __future__ import annotations

import dataclasses

from controld.core.node_directory import NodeDirectory
from controld.core.node_views import NodeViews
from controld.core.nodes import Nodes
from controld.core.ports import Agents, Database, NodeReports
from controld.core.ports_deployments import FleetFacts
from controld.core.workloads import Workloads
from controld.parts.deploying import Deploying
from controld.store.deployments import DeploymentStore
from controld.store.launches import LaunchStore
from controld.store.replicas import ReplicaStore
from controld.store.services import ServiceStore


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Viewing:
    """What is shown."""

    node_views: NodeViews
    workloads: Workloads


def make_viewing(
    database: Database,
    deploying: Deploying,
    *,
    nodes: Nodes,
    reports: NodeReports,
    fleet: FleetFacts,
    directory: NodeDirectory,
    agents: Agents,
) -> Viewing:
    """The parts over the nodes and what is deployed on them."""
    replicas, upkeep = ReplicaStore(), deploying.upkeep
    return Viewing(
        node_views=NodeViews(
            nodes=nodes,
            database=database,
            replicas=replicas,
            reports=reports,
            promise=deploying.promise,
            shortages=lambda: upkeep.shortages,
        ),
        workloads=Workloads(
            database=database,
            services=ServiceStore(),
            deployments=DeploymentStore(),
            launches=LaunchStore(),
            replicas=replicas,
            fleet=fleet,
            directory=directory,
            agents=agents,
            shortages=lambda: upkeep.shortages,
        ),
    )
