"""The node side under the battery of every surface."""

from __future__ import annotations

from typing import Any, cast

import pytest

from controld.api.nodeside.surface import make_surface
from kit.http.surface import PUBLIC
from tests.battery import Battery, Subject
from tests.by_header import subject_by_header
from wire.control import enrolment


class _Auth:
    async def authenticate(self, _: object) -> None:
        return None


class TestNodeSideSurface(Battery):
    @pytest.fixture
    def subject(self) -> Subject:
        nothing = cast(Any, None)
        surface = make_surface(
            auth=cast(Any, _Auth()), authority=nothing, enrolment=nothing, links=nothing, waking=nothing
        )
        return subject_by_header(surface, caller="a node")

    def test_only_what_a_machine_needs_to_become_a_node_is_public(self, subject: Subject) -> None:
        public = {route.path for route in subject.surface.routes if route.access == PUBLIC}
        assert public == {enrolment.AUTHORITY_PATH, enrolment.ENROLMENTS_PATH}
