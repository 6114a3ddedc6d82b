"""What the core needs from outside, as protocols: the store, the feed of changes, and what nodes report."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

from controld.model.change import Change
from controld.model.node import JoinToken, Node, NodeState
from controld.model.report import NodeReport
from controld.model.spec_rows import FleetRouting, IngressRoute, Member, SpecCommon, SpecRows
from kit.tls import Certificate, Names
from wire.agent.activity import Activity
from wire.agent.builds import BuildAsked, PullAsked, WorkEvent
from wire.agent.history import HostHistory, ServiceHistory
from wire.agent.images import ImageCache, SweepAsked, SweepDone
from wire.agent.logs import LogQuery, LogRecord
from wire.agent.metrics import RecentRequests, ServiceMetrics
from wire.link import HostReport


class Transaction(Protocol):
    """One transaction; the core opens it and hands it to the stores, which alone speak through `execute`."""

    @property
    def is_postgres(self) -> bool:
        """Whether the database is PostgreSQL."""
        ...

    async def execute(self, statement: Any, parameters: Any = None) -> Any:
        """Run a statement of the store's."""
        ...

    async def lock(self, name: str) -> None:
        """Wait until no other transaction holds this name, and hold it until the end."""
        ...

    def announce(self, kind: str, *ids: str) -> None:
        """Tell the feed, once this is committed, that these things changed."""
        ...


class Database(Protocol):
    """Opens transactions; leaving the block commits, an exception rolls back."""

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        """A consistent view that changes nothing."""
        ...

    def write(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that may change things; never open one inside another."""
        ...


class Watch(Protocol):
    """Changes that wait for one reader, each told once however often it happened."""

    async def next(self) -> frozenset[Change]:
        """Wait until there is at least one change and take all of them."""
        ...

    def close(self) -> None:
        """Stop to collect."""
        ...


class Feed(Protocol):
    """Tells after each commit what changed, here and in every other controld on the same database."""

    @property
    def is_live(self) -> bool:
        """Whether changes of others arrive now; while not, remembered facts cannot be trusted."""
        ...

    def subscribe(self, listener: Callable[[Change], None], *, kinds: Iterable[str] | None = None) -> None:
        """Call the listener for each change of these kinds (absent: any), and for EVERYTHING; it must not block."""
        ...

    def watch(self, *kinds: str) -> Watch:
        """Collect changes of these kinds (none given: any), and EVERYTHING, for a reader."""
        ...

    def publish(self, changes: Iterable[Change]) -> None:
        """Tell listeners in this process at once; what other processes should hear goes through a transaction."""
        ...


class NodeReports(Protocol):
    """What nodes last said of themselves."""

    def latest_host_report(self) -> HostReport | None:
        """The newest numbers of the oldest node that tells some, or None when no node has reported."""
        ...

    async def fetch(self, node_id: str) -> NodeReport | None:
        """The newest word of a node, whichever controld has its link, or None before its first.

        It is at most a second or so old; the change ("report", node id) follows whenever it says something new.
        """
        ...


class NodeStore(Protocol):
    """Nodes in the database; each change announces ("node", id)."""

    async def add(self, tx: Transaction, node: Node) -> None:
        """Keep a new node."""
        ...

    async def get(self, tx: Transaction, node_id: str) -> Node | None:
        """The node, removed or not."""
        ...

    async def list(self, tx: Transaction, *, after: str = "", limit: int | None = None) -> list[Node]:
        """Nodes that are not removed, by id, from the one behind `after` on."""
        ...

    async def is_name_taken(self, tx: Transaction, name: str) -> bool:
        """Whether a node has this name."""
        ...

    async def count_replicas(self, tx: Transaction, node_id: str) -> int:
        """How many replicas are placed on the node."""
        ...

    async def count_job_runs(self, tx: Transaction, node_id: str) -> int:
        """How many runs of jobs are on the node and have not ended."""
        ...

    async def change_state(self, tx: Transaction, node_id: str, *, before: NodeState, after: NodeState) -> bool:
        """Move it from one state to another; False when it is not in the first any more."""
        ...

    async def remove(self, tx: Transaction, node_id: str, *, name: str, removed_at: dt.datetime) -> bool:
        """Mark it removed under another name; False when it was so before."""
        ...

    async def replace_certificate(
        self, tx: Transaction, node_id: str, *, serial: str, previous_serial: str | None, expires_at: dt.datetime
    ) -> bool:
        """Make another certificate the node's; False for a removed one."""
        ...

    async def forget_previous_serial(self, tx: Transaction, node_id: str, *, serial: str) -> bool:
        """Refuse the earlier certificate from now on, the current one being in use."""
        ...

    async def set_agent(
        self, tx: Transaction, node_id: str, *, agent_version: str, wire_version: int, peer_port: int | None
    ) -> bool:
        """Note which agent speaks for the node, and where its ingress takes what other nodes hand over."""
        ...

    async def set_labels(self, tx: Transaction, node_id: str, labels: Mapping[str, str]) -> bool:
        """Replace its labels."""
        ...

    async def set_address(self, tx: Transaction, node_id: str, *, address: str, port: int) -> bool:
        """Note where the node's agent is dialled."""
        ...


class JoinTokenStore(Protocol):
    """Join tokens in the database."""

    async def add(self, tx: Transaction, token: JoinToken) -> None:
        """Keep a fresh token."""
        ...

    async def use(self, tx: Transaction, secret_sha256: str, *, now: dt.datetime) -> JoinToken | None:
        """Take the token out of use; of those who try at once exactly one gets it, the others None."""
        ...

    async def set_node(self, tx: Transaction, token_id: str, *, node_id: str) -> None:
        """Note which node came of it."""
        ...


class NodeReportStore(Protocol):
    """Nodes' newest reports in the database, in batches."""

    async def save(self, tx: Transaction, reports: Sequence[NodeReport]) -> None:
        """Keep these as the newest word of their nodes."""
        ...

    async def touch(self, tx: Transaction, heard: Sequence[tuple[str, dt.datetime]]) -> None:
        """Note when these nodes were last heard."""
        ...

    async def get(self, tx: Transaction, node_id: str) -> NodeReport | None:
        """The newest word of a node, or None before its first."""
        ...

    async def newest(self, tx: Transaction) -> NodeReport | None:
        """The newest word of all nodes, or None before the first."""
        ...

    async def list(self, tx: Transaction, *, after: str = "", limit: int | None = None) -> list[NodeReport]:
        """The newest word of each node by its id, from the one behind `after` on."""
        ...


class NodeSpecStore(Protocol):
    """The rows that node specs are made of."""

    async def read(self, tx: Transaction, node_id: str) -> SpecRows:
        """The node's replicas, and the routing of their services."""
        ...

    async def read_routing(self, tx: Transaction) -> FleetRouting:
        """Where the requests of every service go."""
        ...

    async def list_members(self, tx: Transaction, *, label: tuple[str, str] | None) -> tuple[Member, ...]:
        """The nodes that speak with each other's ingress, by id; with `label`, those that carry it lead."""
        ...

    async def read_common(self, tx: Transaction, *, control_domain: str | None) -> SpecCommon:
        """What every node is told alike."""
        ...

    async def list_routes(self, tx: Transaction) -> list[IngressRoute]:
        """Every service with a verified hostname and a running replica that takes its traffic, by name."""
        ...


class FactStore(Protocol):
    """Single facts about this installation, by name."""

    async def get(self, tx: Transaction, name: str) -> Any:
        """The fact, or None."""
        ...

    async def put(self, tx: Transaction, name: str, value: Any) -> None:
        """Keep the fact in place of the one there was."""
        ...

    async def put_once(self, tx: Transaction, name: str, value: Any) -> Any:
        """Keep the fact unless there is one, and return the one that stands."""
        ...


class AuthorityFiles(Protocol):
    """The certificate authority's key and controld's own certificate, on disk."""

    async def exists(self) -> bool:
        """Whether there is an authority."""
        ...

    async def make(self, *, common_name: str, now: dt.datetime, lifetime: dt.timedelta) -> None:
        """Make the authority where there is none."""
        ...

    async def open(self) -> str:
        """Take up the authority and return its certificate; raises AuthorityUnusable."""
        ...

    async def sign(
        self, csr_pem: str, names: Names, *, now: dt.datetime, lifetime: dt.timedelta
    ) -> tuple[str, Certificate]:
        """A certificate for the request's key and what it says; raises BadCertificate."""
        ...

    async def read_own(self) -> Certificate | None:
        """What controld's own certificate says; None when there is none under this authority."""
        ...

    async def make_own(self, names: Names, *, now: dt.datetime, lifetime: dt.timedelta) -> None:
        """Give controld a fresh key and certificate."""
        ...


class LinkOutlet(Protocol):
    """controld's end of one open link."""

    async def send(self, frame: bytes) -> None:
        """Send one frame, waiting while the node takes nothing; a link that is broken is passed over."""
        ...

    async def end(self, frame: bytes) -> None:
        """Send a last frame if that is possible within a moment, and close."""
        ...

    def abort(self) -> None:
        """Close at once, whatever the other side does; calling it again does nothing."""
        ...


class Agents(Protocol):
    """Asks of the nodes' agents.

    Every call raises NodeOffline when the agent cannot be reached or falls silent, and NodeFault with the agent's own
    code when it answers with a fault. What is told is told by the node named, or not at all.
    """

    async def send_context(self, node: Node, work_id: str, path: Path) -> None:
        """Stream the tar.zst at the path to the node, for the build with this id."""
        ...

    def run_build(self, node: Node, work_id: str, asked: BuildAsked) -> AsyncIterator[WorkEvent]:
        """Start the build, or join the one under this id; its events from the first on, the last ends it.

        Raises NodeFault `context_missing` when the context has to be sent. Closing the iterator leaves the build
        running: `cancel_work` ends it.
        """
        ...

    def run_pull(self, node: Node, work_id: str, asked: PullAsked) -> AsyncIterator[WorkEvent]:
        """Start the pull, or join the one under this id, likewise."""
        ...

    async def cancel_work(self, node: Node, work_id: str) -> None:
        """End the build or pull with this id, if there is one, and drop what was staged."""
        ...

    def read_logs(self, node: Node, query: LogQuery) -> AsyncGenerator[LogRecord]:
        """Log records of a service on the node, oldest first; with `follow` until the iterator is closed."""
        ...

    def read_log_events(self, node: Node, query: LogQuery) -> AsyncGenerator[bytes]:
        """The same as whole events of a stream, any number at once; the query says how their ids begin (`frames`)."""
        ...

    async def fetch_metrics(self, node: Node, service_id: str | None) -> ServiceMetrics:
        """Readings of replicas on the node: of the service, or (None) of all."""
        ...

    async def fetch_requests(self, node: Node, service_id: str) -> RecentRequests:
        """The newest requests of the service on the node, newest first."""
        ...

    async def fetch_activity(self, node: Node) -> Activity:
        """How long the services that the node's ingress leads to were asked for nothing."""
        ...

    async def fetch_images(self, node: Node) -> ImageCache:
        """How many images the node holds of ours."""
        ...

    async def sweep_images(self, node: Node, asked: SweepAsked) -> SweepDone:
        """Have the node remove images of ours that nothing needs."""
        ...

    async def fetch_history(
        self, node: Node, service_id: str, *, since: dt.datetime, step_seconds: int
    ) -> ServiceHistory:
        """What the service's replicas on the node used since then, in points at least so wide."""
        ...

    async def fetch_host_history(self, node: Node, *, since: dt.datetime, step_seconds: int) -> HostHistory:
        """What the node itself used, likewise."""
        ...
