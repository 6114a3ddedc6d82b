"""Keeps the database's word on sessions and tokens fresh: their uses every few seconds, their ends every hour."""

from __future__ import annotations

import logging

from controld.core.identities import Identities
from controld.core.sessions import Sessions
from kit.clock import Clock
from kit.faults import Fault

_log = logging.getLogger(__name__)

_BEAT_SECONDS = 10.0
_BEATS_PER_SWEEP = 360


class CredentialLoop:
    """Writes uses behind, and drops what has expired."""

    def __init__(self, *, identities: Identities, sessions: Sessions, clock: Clock) -> None:
        self._identities = identities
        self._sessions = sessions
        self._clock = clock

    async def run(self) -> None:
        """Go on until cancelled; a beat that fails is made good by the next."""
        beat = 0
        while True:
            try:
                if beat % _BEATS_PER_SWEEP == 0:
                    await self._sessions.drop_expired()
                await self._identities.write_uses()
            except Fault as fault:
                _log.warning("cannot write uses of tokens", extra={"reason": fault.message})
            beat += 1
            await self._clock.sleep(_BEAT_SECONDS)
