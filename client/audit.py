"""`moorage audit`: who changed what, and who was refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from client.messages import AuditRecord
from client.opening import open_api
from client.projects import find_project


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which records are shown; absent: any."""

    project: str | None = None
    """By name or id."""
    actor: str | None = None
    action: str | None = None
    object_id: str | None = None
    outcome: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int = 50


async def show_audit(config: Path, wanted: AuditFilter) -> None:
    """A line for each record, newest first: when, who, from where, what, of which object, and how it ended."""
    async with open_api(config) as api:
        query = {
            "actor": wanted.actor,
            "action": wanted.action,
            "object_id": wanted.object_id,
            "outcome": wanted.outcome,
            "since": wanted.since,
            "until": wanted.until,
            "limit": str(wanted.limit),
            "project_id": None if wanted.project is None else await find_project(api, wanted.project),
        }
        for record in await api.list_audit({name: value for name, value in query.items() if value is not None}):
            print(_line(record))


def _line(record: AuditRecord) -> str:
    who = record.actor.name or record.actor.id or record.actor.kind
    what = f"{record.object_kind} {record.object_id or ''}".strip()
    details = json.dumps(record.details, separators=(",", ":"), ensure_ascii=False)
    columns = (f"{record.at:%Y-%m-%d %H:%M:%S}", who, record.address, record.action, what, record.outcome, details)
    return "\t".join(columns)
