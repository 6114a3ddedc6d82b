"""What the agent's core needs from outside, as protocols that `host/` provides."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from agent.model.engine import Container, ContainerSpec, EngineEvent, EngineInfo, HeldImage, Image, LoggedLine
from agent.model.identity import Identity
from agent.model.ingress import ApplyResult, IngressObserved, IngressState, Process
from agent.model.job_run import Note
from agent.model.observed import Observed
from agent.model.replica import Probed
from wire.control.enrolment import Enrolled, EnrolmentAsked, RenewalAsked, Renewed
from wire.spec import NodeSpec


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

    async def list_images(self) -> tuple[HeldImage, ...]:
        """Every image that carries a node's label, this node's or another's, layers of other images left out."""
        ...

    async def pull_image(
        self,
        reference: str,
        *,
        login: tuple[str, str] | None,
        timeout_seconds: float,
        progress: Callable[[str], None] | None = None,
        bearer: str | None = None,
    ) -> Image:
        """Pull it, signed in by `login` or by a `bearer` token, telling `progress` a line per step.

        Raises ImageNotFound, RegistryDenied or PullFailed with the registry's reason.
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
    ) -> AsyncGenerator[Sequence[LoggedLine]]:
        """Lines of a container's log, oldest first, in batches; with `follow` also those to come, until it ends."""
        ...


class Ingress(Protocol):
    """The node's way in for user traffic: hosts lead to servers, changed while requests flow."""

    async def observe(self) -> IngressObserved:
        """What is served now; IngressUnavailable when the proxy does not answer."""
        ...

    async def identify(self) -> Process:
        """Which process serves now, at a fraction of what `observe` costs; raises the same."""
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


class IdentityFiles(Protocol):
    """Where the node's identity is kept, and where its keys are made."""

    async def read(self) -> Identity | None:
        """The identity, or None on a machine that is not enrolled; raises IdentityUnreadable."""
        ...

    async def make_request(self, *, common_name: str) -> tuple[str, str]:
        """A fresh key and a signing request for it, both in PEM; nothing is written."""
        ...

    async def write(
        self,
        *,
        node_id: str,
        name: str,
        control_url: str,
        authority_pem: str,
        certificate_pem: str,
        key_pem: str,
    ) -> Identity:
        """Keep it, as a whole or not at all; connections from then on use it.

        Raises ControlUntrusted when the certificate is not for this key and node.
        """
        ...

    def compute_fingerprint(self, authority_pem: str) -> str:
        """Lowercase hex SHA-256 of the certificate; raises BadCertificate."""
        ...


class ControlCalls(Protocol):
    """Asks of controld's node side; raises ControlUnreachable, ControlUntrusted or ControlRefused."""

    async def fetch_authority(self, url: str) -> str:
        """The authority's certificate in PEM, from whoever answers there: not to be trusted as such."""
        ...

    async def send_enrolment(self, url: str, *, authority_pem: str, asked: EnrolmentAsked) -> Enrolled:
        """Enrol with the controld that this authority vouches for."""
        ...

    async def send_renewal(self, url: str, asked: RenewalAsked) -> Renewed:
        """Ask for a fresh certificate under the one at hand."""
        ...


class LinkConnection(Protocol):
    """One open link; every call raises ControlUnreachable once it is broken."""

    async def send(self, frame: bytes) -> None:
        """Send one frame."""
        ...

    async def receive(self) -> bytes:
        """The next frame."""
        ...

    async def close(self) -> None:
        """End it at once, whatever the other side does; calling it again does nothing."""
        ...


class LinkDialer(Protocol):
    """Opens links to controld."""

    async def open(self) -> LinkConnection:
        """A fresh link; raises CertificateExpired, ControlUnreachable, ControlUntrusted or ControlRefused."""
        ...


class Observations(Protocol):
    """What the node can say of itself."""

    def observe(self) -> Observed:
        """The newest observations; cheap, from memory."""
        ...


class SpecSink(Protocol):
    """Takes what the node should run."""

    async def accept(self, spec: NodeSpec, digest: str) -> None:
        """Take the spec as what is wanted from now on; returns once it is noted, not when it is applied."""
        ...


class SpecFile(Protocol):
    """Where the node's spec outlives the agent and the host."""

    async def read(self) -> tuple[str, NodeSpec] | None:
        """The digest and the spec written last, or None when none was; raises SpecUnreadable."""
        ...

    async def write(self, digest: str, spec: NodeSpec) -> None:
        """Replace the spec as a whole, for good; raises SpecNotWritten with the earlier one still in place."""
        ...


class JobRunNotes(Protocol):
    """Where what is known of jobs' runs outlives the agent."""

    async def read_all(self) -> Mapping[str, Note]:
        """Every note by its attempt's key."""
        ...

    async def write(self, key: str, note: Note) -> None:
        """Keep the note in place of the earlier one, for good; raises NoteNotWritten."""
        ...

    async def remove(self, key: str) -> None:
        """Forget the note; no error when there is none."""
        ...


class HealthProbe(Protocol):
    """Asks a replica whether it can serve, on the way that the ingress takes."""

    async def check(self, host: str, port: int, path: str, *, timeout_seconds: float) -> Probed:
        """The outcome of one `GET`, within the time given for all of it; it does not raise for an outcome."""
        ...
