"""Wakes services that scaled to nothing, for nodes that hold requests for them."""

from __future__ import annotations

from controld.core.ports import Database
from controld.core.ports_deployments import FleetFacts, LaunchStore, ReplicaStore
from controld.core.scale_notes import ScaleNotes
from controld.rules.autoscale import is_serving


class Waking:
    """A service that is asked for gets a replica; once that takes requests, nodes let go of those that they hold.

    Any number of nodes may ask any number of controlds; one replica comes of it.
    """

    def __init__(
        self,
        *,
        database: Database,
        launches: LaunchStore,
        replicas: ReplicaStore,
        fleet: FleetFacts,
        notes: ScaleNotes,
    ) -> None:
        self._database = database
        self._launches = launches
        self._replicas = replicas
        self._fleet = fleet
        self._notes = notes

    async def wake(self, service_id: str) -> None:
        """Have a replica started for a service that sleeps; nothing for any other."""
        async with self._database.read() as tx:
            launch = await self._launches.find(tx, service_id)
        if launch is None or launch.replicas or launch.promoted_deployment_id is None:
            return
        async with self._database.write() as tx:
            await tx.lock("services")
            launch = await self._launches.find(tx, service_id)
            if launch is None or launch.replicas or launch.promoted_deployment_id is None:
                return
            await self._launches.scale(tx, service_id, count=1, problem=None)
            await self._notes.note(tx, launch, count=1, why="somebody asks for it")

    async def settle(self) -> None:
        """Note of each service that wakes whether a replica of it takes requests."""
        async with self._database.read() as tx:
            waking = await self._launches.list_waking(tx)
            if not waking:
                return
            placed = {each.service_id: await self._replicas.list_of_service(tx, each.service_id) for each in waking}
        nodes = {node.id: node for node in await self._fleet.list_nodes()}
        for launch in waking:
            if any(
                is_serving(replica, nodes.get(replica.node_id))
                for replica in placed[launch.service_id]
                if replica.deployment_id == launch.promoted_deployment_id
            ):
                async with self._database.write() as tx:
                    await self._launches.end_sleep(tx, launch.service_id)
