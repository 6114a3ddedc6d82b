"""Refused attempts on their way into the audit: written behind, and never more of them than it can bear."""

from __future__ import annotations

import re
from typing import Final

from controld.core.audit import Audit
from controld.core.ports import Database
from controld.model.audit import Refusal
from controld.model.caller import Caller
from controld.rules.validation import NAME_LIMIT
from kit.clock import Clock
from kit.faults import Fault
from kit.http.limits import Window

PER_ADDRESS: Final = 30
"""Refusals of one address in a minute that are written down."""
PER_MINUTE: Final = 300
"""Refusals in a minute that are written down."""

_REQUEST_LIMIT: Final = 300
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Refusals:
    """Collects refusals and writes them with `write`; those past 30 a minute for an address, or 300 in all, are
    counted, and one record tells how many they were.
    """

    def __init__(self, audit: Audit, *, database: Database, clock: Clock) -> None:
        self._audit = audit
        self._database = database
        self._clock = clock
        self._by_address = Window(PER_ADDRESS, 60.0, clock=clock)
        self._all = Window(PER_MINUTE, 60.0, clock=clock)
        self._waiting: list[Refusal] = []
        self._left_out = 0

    @property
    def waiting(self) -> int:
        """How many are not written yet."""
        return len(self._waiting)

    def note_forbidden(self, caller: Caller, request: str, fault: Fault) -> None:
        """A known caller's request (method and path, without its query) was forbidden."""
        operation = str(fault.details.get("operation", "request"))
        project_id = fault.details.get("project_id")
        ids = _UUID.findall(request)
        self._note(
            Refusal(
                at=self._clock.now(),
                caller=caller,
                address=caller.address,
                action=operation,
                object_kind=operation.partition(".")[0],
                object_id=ids[-1].lower() if ids else None,
                project_id=project_id if isinstance(project_id, str) else None,
                details={"request": request[:_REQUEST_LIMIT], "code": fault.code},
            )
        )

    def note_sign_in(self, username: str, *, address: str) -> None:
        """Somebody gave a wrong username or password."""
        self._note(
            Refusal(
                at=self._clock.now(),
                caller=None,
                address=address,
                action="session.create",
                object_kind="session",
                details={"username": username[:NAME_LIMIT]},
            )
        )

    async def write(self) -> None:
        """Write down what waits, in one transaction; what cannot be written waits on, within the same bounds."""
        if not self._waiting and not self._left_out:
            return
        waiting, self._waiting = self._waiting, []
        left_out, self._left_out = self._left_out, 0
        try:
            async with self._database.write() as tx:
                for refusal in waiting:
                    await self._audit.record_refusal(tx, refusal)
                if left_out:
                    await self._audit.record_refusal(tx, self._summary(left_out))
        except BaseException:
            self._waiting = [*waiting, *self._waiting]
            self._left_out += left_out
            self._left_out += max(0, len(self._waiting) - PER_MINUTE)
            del self._waiting[PER_MINUTE:]
            raise

    def _note(self, refusal: Refusal) -> None:
        over = self._by_address.check(refusal.address) is not None or self._all.check("") is not None
        if over or len(self._waiting) >= PER_MINUTE:
            self._left_out += 1
        else:
            self._waiting.append(refusal)

    def _summary(self, count: int) -> Refusal:
        return Refusal(
            at=self._clock.now(),
            caller=None,
            address="",
            action="refusals.left_out",
            object_kind="refusals",
            details={"count": count},
        )
