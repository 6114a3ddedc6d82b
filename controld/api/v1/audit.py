"""Who changed what, and who was refused."""

from __future__ import annotations

from controld.api.v1.paging import LINK, answer_page, read_page
from controld.api.v1.shapes_audit import AuditAsked, AuditShape, read_query, render_record
from controld.core.audit_trail import AuditTrail
from controld.core.faults import ProjectNotFound
from kit.clock import Clock
from kit.faults import Forbidden, Invalid
from kit.http.surface import Answer, Ask, Route


def routes(trail: AuditTrail, clock: Clock) -> tuple[Route, ...]:
    """The rows of this file."""

    async def list_records(ask: Ask) -> Answer:
        asked: AuditAsked = ask.query
        project_id = None if asked.project_id is None else str(asked.project_id)
        found = await trail.list(
            ask.caller, read_query(asked, clock.now()), page=read_page(asked), project_id=project_id
        )
        return answer_page(ask, found, render_record)

    return (
        Route(
            method="GET",
            path="/v1/audit",
            access="admin of a project",
            handler=list_records,
            summary="Changes, consoles and refused attempts, newest first; admins see those of their projects",
            query=AuditAsked,
            answer=list[AuditShape],
            headers=LINK,
            faults=(Invalid, Forbidden, ProjectNotFound),
        ),
    )
