"""Keeps the engine from registries inside a network, as the names stand at the moment of a pull."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from agent.core.faults import RegistryInside
from agent.rules.image_references import find_named_host, find_registry
from kit.addresses import Address, is_internal, parse_address


class RegistryGuard:
    """Judges where a reference leads; `lookup` tells every address of a hostname, none when it has none.

    The engine looks the name up by itself afterwards: two lookups here make a name that changes from one to the next
    unlikely to pass. The default registry is not judged, for its name is not the asker's choice, nor is `own`, the
    agent's relay to the hosted one.
    """

    def __init__(self, lookup: Callable[[str], Awaitable[Sequence[Address]]], *, own: str) -> None:
        self._lookup = lookup
        self._own = own
        self._allows_private: Callable[[], bool] = lambda: False

    def attach(self, *, allows_private: Callable[[], bool]) -> None:
        """Ask `allows_private` from now on whether a registry may stand inside."""
        self._allows_private = allows_private

    async def check(self, reference: str) -> None:
        """Return when the reference may be pulled; raises RegistryInside."""
        host = find_named_host(reference)
        if host is None or find_registry(reference) == self._own or self._allows_private():
            return
        literal = parse_address(host)
        addresses = [literal] if literal is not None else [*await self._lookup(host), *await self._lookup(host)]
        if any(is_internal(address) for address in addresses):
            raise RegistryInside(
                f"cannot pull image {reference}: {host} lies inside a network; controld's setting "
                "allow_private_registries would allow it"
            )
