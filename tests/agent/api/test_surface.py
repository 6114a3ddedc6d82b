"""What controld asks of the agent, under the battery of every surface."""

from __future__ import annotations

from typing import Any, cast

import pytest

from agent.api.auth import authenticate_controld
from agent.api.builds import Builds
from agent.api.images import ImageRows
from agent.api.logs import LogRows
from agent.api.metrics import MetricRows
from agent.api.surface import make_control_surface
from kit.clock import SystemClock
from kit.http.surface import PUBLIC
from tests.battery import Battery, Subject
from tests.by_header import subject_by_header
from wire.identity import CONTROL_URI


def _nothing() -> Any:
    return cast(Any, None)


class TestControlSurface(Battery):
    @pytest.fixture
    def subject(self) -> Subject:
        surface = make_control_surface(
            *Builds(_nothing(), clock=SystemClock()).routes(),
            *ImageRows(_nothing()).routes(),
            *LogRows(_nothing(), clock=SystemClock()).routes(),
            *MetricRows(_nothing(), _nothing(), _nothing()).routes(),
        )
        assert surface.authenticate is authenticate_controld
        return subject_by_header(surface, caller=CONTROL_URI)

    def test_no_row_is_public(self, subject: Subject) -> None:
        assert [route.path for route in subject.surface.routes if route.access == PUBLIC] == []
