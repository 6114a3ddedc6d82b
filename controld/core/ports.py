"""What the core needs from outside, as protocols: the store, the feed of changes, and what nodes report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from controld.model.change import Change
from wire.link import HostReport


class Transaction(Protocol):
    """One transaction; the core opens it and hands it to the stores, which alone speak through `execute`."""

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


class NodeReports(Protocol):
    """What nodes last said of themselves."""

    def latest_host_report(self) -> HostReport | None:
        """The newest numbers of a host, or None when no node has reported."""
        ...
