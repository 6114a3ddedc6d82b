"""What the platform tells of itself and of the host it stands on."""

from __future__ import annotations

from controld.core.ports import NodeReports
from controld.model.caller import Caller
from controld.rules.access import allows, check
from kit.faults import Unavailable
from wire.link import HostReport


class Platform:
    """Knows the platform's own domain and the newest numbers of a host."""

    def __init__(self, *, reports: NodeReports, control_domain: str | None) -> None:
        self._reports = reports
        self.control_domain = control_domain

    def find_host_report(self, caller: Caller) -> HostReport | None:
        """The newest numbers of a host, or None when there are none or none for this caller."""
        return self._reports.latest_host_report() if allows(caller, "node.metrics") else None

    def get_host_report(self, caller: Caller) -> HostReport:
        """The newest numbers of a host; raises Unavailable before the first."""
        check(caller, "node.metrics")
        report = self._reports.latest_host_report()
        if report is None:
            raise Unavailable("cannot tell numbers of a host: no node has reported yet", retry_after_seconds=5)
        return report
