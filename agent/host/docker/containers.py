"""Containers and networks of this node: nothing without our label is listed, changed or removed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from typing import Any
from urllib.parse import quote

from agent.core.faults import (
    ContainerGone,
    ContainerNameTaken,
    EngineRefused,
    ImageNotFound,
    NetworkGone,
    NetworkNameTaken,
    NotOurs,
    StartFailed,
)
from agent.host.docker.session import EngineSession
from agent.model.engine import Container, ContainerSpec
from agent.rules.engine_containers import NODE_LABEL, identify_run, parse_container, render_config

_INSPECTS_AT_ONCE = 8
_CREATE_TRIES = 3
_NETWORK_GONE = re.compile(r"network \S+ not found", re.IGNORECASE)


class EngineContainers:
    """Operations on the containers that carry `moorage.node=<node_id>`."""

    def __init__(self, session: EngineSession, *, node_id: str, log_max_bytes: int, log_files: int) -> None:
        self._session = session
        self._node_id = node_id
        self._log_max_bytes = log_max_bytes
        self._log_files = log_files
        self._known: dict[str, tuple[str, Container]] = {}
        self._inspects = asyncio.Semaphore(_INSPECTS_AT_ONCE)
        self._network_lock = asyncio.Lock()

    async def list(self) -> tuple[Container, ...]:
        """Every container of this node's, by name; what runs on unchanged is answered from memory."""
        listed = await self._session.call(
            "GET",
            "/containers/json",
            doing="list containers",
            params={"all": "1", "filters": json.dumps({"label": [f"{NODE_LABEL}={self._node_id}"]})},
        )
        self._known = {row["Id"]: known for row in listed if (known := self._known.get(row["Id"]))}
        found = await asyncio.gather(*(self._look(row) for row in listed))
        return tuple(sorted((c for c in found if c is not None), key=lambda container: container.name))

    def forget(self, container_id: str) -> None:
        """Look at the container anew next time: something happened to it."""
        self._known.pop(container_id, None)

    async def create(self, spec: ContainerSpec) -> str:
        """Create it and return its id; one of ours with that name gives way."""
        doing = f"create container {spec.name}"
        config = render_config(
            spec, node_id=self._node_id, log_max_bytes=self._log_max_bytes, log_files=self._log_files
        )

        for _ in range(_CREATE_TRIES):
            try:
                answer = await self._session.call(
                    "POST", "/containers/create", doing=doing, params={"name": spec.name}, body=config
                )
            except EngineRefused as refused:
                if refused.engine_status == 404 and "no such image" in refused.reason.lower():
                    raise ImageNotFound(f"cannot {doing}: the engine has no image {spec.image}") from refused
                if refused.engine_status == 400:
                    raise StartFailed(refused.message) from refused
                if refused.engine_status != 409:
                    raise
                await self._make_way(spec.name)
            else:
                return str(answer["Id"])
        raise ContainerNameTaken(f"cannot {doing}: the name is taken again and again while it is made free")

    async def start(self, container_id: str) -> None:
        """Start it; raises StartFailed with the engine's reason, which is NetworkGone where no start can help."""
        doing = f"start container {container_id[:12]}"
        await self.inspect(container_id, doing=doing)
        self.forget(container_id)
        try:
            await self._session.call("POST", f"/containers/{container_id}/start", doing=doing)
        except EngineRefused as refused:
            if refused.engine_status == 404 and "no such container" in refused.reason.lower():
                raise ContainerGone(refused.message) from refused
            if refused.engine_status == 404 and _NETWORK_GONE.search(refused.reason):
                raise NetworkGone(refused.message) from refused
            raise StartFailed(refused.message) from refused
        finally:
            self.forget(container_id)

    async def stop(self, container_id: str, *, grace_seconds: int) -> None:
        """SIGTERM, then SIGKILL after the grace; returns when it has ended."""
        doing = f"stop container {container_id[:12]}"
        try:
            await self.inspect(container_id, doing=doing)
            await self._session.call(
                "POST",
                f"/containers/{container_id}/stop",
                doing=doing,
                params={"t": str(grace_seconds)},
                timeout_seconds=grace_seconds + self._session.call_timeout_seconds,
            )
        except ContainerGone:
            return
        except EngineRefused as refused:
            if refused.engine_status != 404:
                raise
        finally:
            self.forget(container_id)

    async def remove(self, container_id: str) -> None:
        """Remove it, killing it if it runs, and return when it is gone."""
        doing = f"remove container {container_id[:12]}"
        try:
            await self.inspect(container_id, doing=doing)
            await self._session.call(
                "DELETE", f"/containers/{container_id}", doing=doing, params={"v": "1", "force": "1"}
            )
        except ContainerGone:
            return
        except EngineRefused as refused:
            if refused.engine_status == 409 and "already in progress" in refused.reason:
                await self._wait_removed(container_id, doing=doing)
            elif refused.engine_status != 404:
                raise
        finally:
            self.forget(container_id)

    async def inspect(self, container_id: str, *, doing: str) -> dict[str, Any]:
        """The engine's words on a container of ours; raises ContainerGone, and NotOurs without our label."""
        try:
            answer: dict[str, Any] = await self._session.call(
                "GET", f"/containers/{quote(container_id)}/json", doing=doing
            )
        except EngineRefused as refused:
            if refused.engine_status == 404:
                raise ContainerGone(f"cannot {doing}: the engine has no such container") from refused
            raise
        if not self._is_ours(answer["Config"].get("Labels")):
            raise NotOurs(
                f"cannot {doing}: {answer['Name'].removeprefix('/')} does not carry the label "
                f"{NODE_LABEL}={self._node_id}"
            )
        return answer

    async def ensure_network(self, name: str) -> None:
        """Make our bridge network of that name exist."""
        doing = f"create network {name}"
        async with self._network_lock:
            if await self._has_network(name):
                return
            try:
                await self._session.call(
                    "POST",
                    "/networks/create",
                    doing=doing,
                    body={
                        "Name": name,
                        "Driver": "bridge",
                        "CheckDuplicate": True,
                        "Labels": {NODE_LABEL: self._node_id},
                    },
                )
            except EngineRefused as refused:
                if refused.engine_status != 409 or not await self._has_network(name):
                    raise

    async def _look(self, row: dict[str, Any]) -> Container | None:
        container_id, run = row["Id"], identify_run(row)
        known = self._known.get(container_id)
        if run is not None and known is not None and known[0] == run:
            return known[1]
        async with self._inspects:
            try:
                container = parse_container(await self.inspect(container_id, doing="list containers"))
            except ContainerGone:
                return None
        if run is not None:
            self._known[container_id] = (run, container)
        return container

    async def _make_way(self, name: str) -> None:
        try:
            present = await self.inspect(name, doing=f"replace container {name}")
        except ContainerGone:
            return
        except NotOurs as error:
            raise ContainerNameTaken(
                f"cannot create container {name}: a container that is not ours has this name; "
                "rename or remove it on the node"
            ) from error
        await self.remove(present["Id"])

    async def _wait_removed(self, container_id: str, *, doing: str) -> None:
        with contextlib.suppress(ContainerGone):
            try:
                await self._session.call(
                    "POST", f"/containers/{container_id}/wait", doing=doing, params={"condition": "removed"}
                )
            except EngineRefused as refused:
                if refused.engine_status != 404:
                    raise

    async def _has_network(self, name: str) -> bool:
        try:
            network = await self._session.call("GET", f"/networks/{quote(name)}", doing=f"look for network {name}")
        except EngineRefused as refused:
            if refused.engine_status == 404:
                return False
            raise
        if network["Name"] != name:
            return False
        if not self._is_ours(network.get("Labels")):
            raise NetworkNameTaken(
                f"cannot create network {name}: a network that is not ours has this name; remove it on the node"
            )
        return True

    def _is_ours(self, labels: dict[str, str] | None) -> bool:
        return (labels or {}).get(NODE_LABEL) == self._node_id
