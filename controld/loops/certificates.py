"""The duty that gets and renews certificates: at changes of services and nodes, and on a steady beat."""

from __future__ import annotations

import logging
from typing import Final

from controld.core.certificates import Certificates
from controld.core.ports import Feed
from controld.loops.pulse import Pulse
from controld.model.certificate import SecuredHost
from kit.clock import Clock
from kit.faults import Fault
from kit.tasks import Tasks

_log = logging.getLogger(__name__)

_BEAT_SECONDS: Final = 60.0
_REST_SECONDS: Final = 0.5
_AT_ONCE: Final = 4
_PAUSE_SECONDS: Final = 300.0
_TAKEN_SECONDS: Final = 10.0
_SWEEP_SECONDS: Final = 43_200.0


class CertificateDuty:
    """Runs until cancelled; a host whose order fails or hangs holds no other up."""

    def __init__(self, *, certificates: Certificates, feed: Feed, clock: Clock) -> None:
        self._certificates = certificates
        self._feed = feed
        self._clock = clock
        self._busy: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._swept: float | None = None

    async def run(self) -> None:
        """Keep the duty."""
        tasks = Tasks("certificates")
        try:
            async with Pulse(
                "service",
                "node",
                feed=self._feed,
                clock=self._clock,
                beat_seconds=_BEAT_SECONDS,
                rest_seconds=_REST_SECONDS,
            ) as pulse:
                while True:
                    await pulse.wait()
                    for host in await self._list_due():
                        if len(self._busy) >= _AT_ONCE:
                            break
                        self._busy.add(host.hostname)
                        tasks.start(f"certificate-{host.hostname}", self._renew(host, pulse))
        finally:
            await tasks.close()

    async def _list_due(self) -> list[SecuredHost]:
        now = self._clock.monotonic()
        self._not_before = {name: moment for name, moment in self._not_before.items() if moment > now}
        try:
            if self._swept is None or now - self._swept >= _SWEEP_SECONDS:
                await self._certificates.drop_useless()
                self._swept = now
            due = await self._certificates.list_due()
        except Fault as fault:
            _log.warning("certificates cannot be listed", extra={"reason": fault.message})
            return []
        return [host for host in due if host.hostname not in self._busy and host.hostname not in self._not_before]

    async def _renew(self, host: SecuredHost, pulse: Pulse) -> None:
        try:
            if not await self._certificates.renew(host):
                self._not_before[host.hostname] = self._clock.monotonic() + _TAKEN_SECONDS
        except Exception as error:  # noqa: BLE001 - it is told, and the others have to go on
            # What could not be written down must not send it to the authority over and over.
            self._not_before[host.hostname] = self._clock.monotonic() + _PAUSE_SECONDS
            if not isinstance(error, Fault):
                _log.exception("certificate order failed", extra={"host": host.hostname})
            else:
                _log.warning("certificate order failed", extra={"host": host.hostname, "reason": error.message})
        finally:
            self._busy.discard(host.hostname)
            pulse.beat()
