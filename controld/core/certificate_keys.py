"""The private keys of certificates, taken from the vault once and remembered."""

from __future__ import annotations

import logging
from typing import Final

from controld.core.faults import SecretNotFound
from controld.core.ports_secrets import SecretVault
from kit.faults import Fault

_log = logging.getLogger(__name__)

SCOPE: Final = "platform"
FIELD: Final = "key"
_MOST: Final = 10_000


class CertificateKeys:
    """Opens keys by their ref; `lost` are refs that the vault does not have, whose certificates are of no use."""

    def __init__(self, vault: SecretVault) -> None:
        self._vault = vault
        self._known: dict[str, str] = {}
        self._complained: set[str] = set()
        self.lost: set[str] = set()

    async def find(self, ref: str) -> str | None:
        """The key in PEM; None while the vault does not give it."""
        if (known := self._known.get(ref)) is not None:
            return known
        try:
            key = (await self._vault.get(SCOPE, ref)).get(FIELD)
        except Fault as fault:
            if isinstance(fault, SecretNotFound):
                self.lost.add(ref)
            if ref not in self._complained:
                self._complained.add(ref)
                _log.error("certificate key cannot be opened", extra={"ref": ref, "reason": fault.message})
            return None
        if key is None:
            self.lost.add(ref)
            return None
        self._complained.discard(ref)
        while len(self._known) >= _MOST:
            del self._known[next(iter(self._known))]
        self._known[ref] = key
        return key

    async def put(self, ref: str, key_pem: str) -> None:
        """Keep a key under a fresh ref."""
        await self._vault.put(SCOPE, ref, values={FIELD: key_pem})
        self.lost.discard(ref)

    async def drop(self, ref: str) -> None:
        """Forget a key for good."""
        self._known.pop(ref, None)
        self.lost.discard(ref)
        await self._vault.delete(SCOPE, ref)
