"""What the agent's core needs from outside, as protocols that `host/` provides."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol

from agent.model.engine import Container, ContainerSpec, EngineEvent, EngineInfo, Image, RawLine
from agent.model.ingress import ApplyResult, IngressObserved, IngressState


class Engine(Protocol):
    """The node's container engine; only objects that carry our labels are ever listed, changed or removed.

    Every call has a deadline. A call raises `EngineUnavailable` when the engine does not answer, and a more telling
    fault of `agent.core.faults` otherwise.
    """

    async def fetch_info(self) -> EngineInfo:
        """The engine's versions; cheap enough to be asked each sweep."""
        ...

    async def list_containers(self) -> tuple[Container, ...]:
        """Every container of this node's, running or not."""
        ...

    async def create_container(self, spec: ContainerSpec) -> str:
        """Create it without starting it and return its id; a container of ours of that name is replaced."""
        ...

    async def start_container(self, container_id: str) -> None:
        """Start it; no error when it runs."""
        ...

    async def stop_container(self, container_id: str, *, grace_seconds: int) -> None:
        """SIGTERM, then SIGKILL after the grace; no error when it is stopped or gone."""
        ...

    async def remove_container(self, container_id: str) -> None:
        """Remove it with its anonymous volumes, killing it if it runs; no error when it is gone."""
        ...

    async def ensure_network(self, name: str) -> None:
        """Make our bridge network exist."""
        ...

    async def find_image(self, reference: str) -> Image | None:
        """The image that the reference names in the engine, or None."""
        ...

    async def pull_image(
        self,
        reference: str,
        *,
        login: tuple[str, str] | None,
        timeout_seconds: float,
        progress: Callable[[str], None] | None = None,
    ) -> Image:
        """Pull it, telling `progress` a line per step; raises ImageNotFound, RegistryDenied or PullFailed with the
        registry's reason.
        """
        ...

    async def push_image(self, reference: str, *, login: tuple[str, str] | None, timeout_seconds: float) -> str:
        """Push the tagged reference and return its manifest's digest."""
        ...

    async def tag_image(self, image_id: str, reference: str) -> None:
        """Let the reference name the image."""
        ...

    def build_image(
        self,
        context: Path,
        *,
        dockerfile: str,
        tag: str,
        labels: Mapping[str, str],
        cpu_millis: int,
        memory_bytes: int,
    ) -> AsyncGenerator[str]:
        """Build from a folder, yielding lines of output; closing the iterator cancels the build for certain.

        Raises BuildFailed with the step's reason. The built image is then found by `tag`.
        """
        ...

    async def remove_image(self, reference: str) -> None:
        """Remove the reference; no error when it is gone or in use."""
        ...

    def watch_events(self, *, since: dt.datetime | None = None) -> AsyncGenerator[EngineEvent]:
        """Events of our containers, for ever: reconnects by itself with back-off and resumes where it was.

        A malformed event is passed over. A RESYNC event opens the stream and follows each reconnection.
        """
        ...

    def read_log(
        self, container_id: str, *, tail: int | None, since: dt.datetime | None, follow: bool
    ) -> AsyncGenerator[RawLine]:
        """Lines of a container's log, oldest first; with `follow` also those to come, until the container ends."""
        ...


class Ingress(Protocol):
    """The node's way in for user traffic: hosts lead to servers, changed while requests flow."""

    async def observe(self) -> IngressObserved:
        """What is served now; IngressUnavailable when the proxy does not answer."""
        ...

    async def apply(self, wanted: IngressState) -> ApplyResult:
        """Serve exactly this, losing no request; doing it again changes nothing.

        The state is kept for the proxy's next start even when it does not answer now, which is IngressUnavailable.
        Parts that may not be served are left out and told in `refused`.
        """
        ...

    async def sessions(self, names: Collection[str]) -> Mapping[str, int]:
        """Open sessions of each named server, processes that finish after a reload included; 0 for a name unknown."""
        ...
