"""The battery holds for a plain surface, whether or not it asks for a credential ahead of everything else."""

from __future__ import annotations

import pytest

from kit.http.openapi import with_documents
from kit.http.surface import Ask, Route
from tests.battery import Battery, Subject
from tests.kit.http.plain import FOREIGN, GOOD, surface


async def _get(ask: Ask) -> str:
    return str(ask.caller)


_ROUTE = Route(method="GET", path="/plain/names/{name_id}", access="viewer", handler=_get, summary="Who calls")


class TestSurfaceThatAsksForACredentialFirst(Battery):
    @pytest.fixture
    def subject(self) -> Subject:
        plain = with_documents(surface(_ROUTE, credential_first=True))
        return Subject(surface=plain, credential=GOOD, foreign=FOREIGN)


class TestSurfaceThatTellsUnknownPathsToAnyone(Battery):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject(surface=surface(_ROUTE), credential=GOOD, foreign=FOREIGN)
