"""Renews the node's certificate in time."""

from __future__ import annotations

import logging
from typing import Final

from agent.core.enrolment import Enrolment
from kit.clock import Clock
from kit.faults import Fault

_log = logging.getLogger(__name__)

_PACE_SECONDS: Final = 3600.0


class Renewal:
    """Looks every hour whether the certificate is due; where controld is out of reach, the next hour asks again."""

    def __init__(self, enrolment: Enrolment, clock: Clock) -> None:
        self._enrolment = enrolment
        self._clock = clock

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self._enrolment.renew_if_due()
            except Fault as fault:
                _log.warning("certificate not renewed", extra={"code": fault.code, "fault": fault.message})
            await self._clock.sleep(_PACE_SECONDS)
