"""The JSON of the audit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from controld.api.v1.moments import Moment, read_moment
from controld.api.v1.paging import PageQuery
from controld.api.v1.shapes import Id
from controld.model.audit import AuditQuery, AuditRecord
from wire.base import Lenient

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class AuditAsked(PageQuery, frozen=True):
    """Which records are asked for, newest first; absent: any that the caller may see."""

    project_id: Id | None = None
    actor: _Text | None = None
    """The id or the name of who did it."""
    action: _Text | None = None
    """Such as `service.create`, or `service` for all that begins so."""
    object_kind: _Text | None = None
    object_id: _Text | None = None
    outcome: _Text | None = None
    """`done` or `refused`."""
    since: Moment = None
    until: Moment = None


class ActorShape(Lenient, frozen=True):
    """Who did it: a `user`, the `bootstrap` secret, a `node`, a `stranger`, or the `platform` itself."""

    kind: str
    id: str | None
    name: str | None
    token_kind: str | None
    token_id: str | None


class AuditShape(Lenient, frozen=True):
    """One change, console, or refused attempt."""

    id: str
    at: dt.datetime
    actor: ActorShape
    address: str
    action: str
    object_kind: str
    object_id: str | None
    project_id: str | None
    outcome: str
    details: Mapping[str, Any]


def read_query(asked: AuditAsked, now: dt.datetime) -> AuditQuery:
    """What is asked for, but for the page and the project; raises Invalid."""
    return AuditQuery(
        actor=asked.actor,
        action=asked.action,
        object_kind=asked.object_kind,
        object_id=asked.object_id,
        outcome=asked.outcome,
        since=read_moment("since", asked.since, now),
        until=read_moment("until", asked.until, now),
    )


def render_record(record: AuditRecord) -> AuditShape:
    """A record."""
    actor = record.actor
    return AuditShape(
        id=record.id,
        at=record.at,
        actor=ActorShape(
            kind=actor.get("kind") or "stranger",
            id=actor.get("id"),
            name=actor.get("name"),
            token_kind=actor.get("token_kind"),
            token_id=actor.get("token_id"),
        ),
        address=record.address,
        action=record.action,
        object_kind=record.object_kind,
        object_id=record.object_id,
        project_id=record.project_id,
        outcome=record.outcome,
        details=record.details,
    )
