"""Waking a service that scaled to nothing, as the node asks for it that holds a request.

`POST /wakes` takes `WakeAsked` under the node's certificate and answers `WakeTold`; asking again changes nothing. That
the service is awake is told by the node spec, whose route is not asleep any more.
"""

from __future__ import annotations

from typing import Final

from wire.base import Lenient

WAKES_PATH: Final = "/wakes"


class WakeAsked(Lenient, frozen=True):
    """Somebody asks for this service."""

    service_id: str


class WakeTold(Lenient, frozen=True):
    """The service is about to run, or does."""
