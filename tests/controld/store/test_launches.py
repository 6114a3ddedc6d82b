"""What a policy called for is kept with its service, on both databases."""

from __future__ import annotations

import dataclasses

from controld.store.engine import Database
from controld.store.launches import LaunchStore
from controld.store.projects import ProjectStore
from controld.store.services import ServiceStore
from tests.controld.store.rows import PROJECT, SERVICE


async def test_a_promoted_service_with_a_policy_is_found_and_keeps_what_was_called_for(
    either_database: Database,
) -> None:
    launches, services = LaunchStore(), ServiceStore()
    plain = dataclasses.replace(SERVICE, id="s2", name="plain", autoscale=None)
    async with either_database.write() as tx:
        await ProjectStore().add(tx, PROJECT)
        for service in (SERVICE, plain):
            await services.add(tx, service)
        assert await launches.list_scaled(tx) == []
        for service in (SERVICE, plain):
            await launches.promote(tx, service.id, "d1")
        (launch,) = await launches.list_scaled(tx)
        assert (launch.service_id, launch.replicas, launch.autoscale) == ("s1", 1, SERVICE.autoscale)
        await launches.scale(tx, "s1", count=3, problem="no room")
        found = await launches.find(tx, "s1")
        assert found is not None
        assert (found.replicas, found.scale_problem) == (3, "no room")
        stored = await services.get(tx, "s1")
        assert stored is not None
        assert stored.scaled_to == 3
        await services.update(tx, stored)
        (launch,) = await launches.list_scaled(tx)
        assert (launch.replicas, launch.scale_problem) == (3, None), "the next tick says it again if it is still so"
