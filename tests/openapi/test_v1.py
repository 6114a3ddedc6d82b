"""The document of `/v1` is valid, and what the app answers to asks made from it is in it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from kit.http.openapi import describe
from tests.controld.app import App
from tests.roles.callers import Who, make_callers
from tests.roles.world import World

_EXAMPLES: Final = 12
_CALLERS: Final = frozenset({"no credential", "viewer", "operator", "admin", "bootstrap", "admin of another project"})
_ORDER: Final = ("get", "put", "patch", "post", "delete")
"""What removes things comes last, so that there is something to ask for."""


async def test_the_document_is_valid(app: App) -> None:
    document = describe(app.surface)
    validate(document)
    assert [name for name in document["components"]["schemas"] if "." in name] == []


@pytest.mark.timeout(600)
async def test_asked_from_its_document_the_app_never_fails_and_answers_nothing_else(world: World) -> None:
    callers = await make_callers(world.app, home=world.home["project_id"], elsewhere=world.elsewhere["project_id"])
    asked = _Asked(world, [who for who in callers if who.name in _CALLERS])
    await asyncio.to_thread(asked.ask_all)
    assert not asked.failures, "\n\n".join(asked.failures)
    print(f"\n/v1: {asked.operations} operations, {asked.requests} asks made from the document")


@schemathesis.serializer("application/zstd")
def _write_archive(_: object, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@dataclasses.dataclass
class _Asked:
    """Asks every operation in generated ways, as several callers, about things that exist and things that do not."""

    world: World
    callers: Sequence[Who]
    requests: int = 0
    operations: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)

    def ask_all(self) -> None:
        schema = schemathesis.openapi.from_dict(describe(self.world.app.surface))
        operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
        assert len(operations) == sum(len(path) for path in schema.raw_schema["paths"].values())
        for operation in sorted(operations, key=lambda each: _ORDER.index(each.method.lower())):
            self.operations += 1
            self._ask(operation)

    def _ask(self, operation: Any) -> None:
        is_stream = any(
            "text/event-stream" in (told.get("content") or {}) or status == "101"
            for status, told in operation.definition.raw["responses"].items()
        )

        # Asks as the document has them, and asks that it does not allow.
        cases = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]

        @settings(
            max_examples=_EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=st.one_of(*cases), who=st.sampled_from(self.callers), is_real=st.booleans())
        def ask(case: schemathesis.Case[Any], who: Who, is_real: bool) -> None:
            if is_real and not is_stream:
                _point(case, dict(self.world.home))
            self.requests += 1
            response = case.call(base_url=str(self.world.http._base_url), headers=who.headers, timeout=20)
            case.validate_response(
                response,
                checks=[
                    not_a_server_error,
                    status_code_conformance,
                    content_type_conformance,
                    response_schema_conformance,
                    response_headers_conformance,
                ],
            )

        try:
            ask()
        except BaseException as error:  # noqa: BLE001 - all operations are asked, and every failure is told
            self.failures.append(f"{operation.method.upper()} {operation.path}: {_words(error)}")


def _point(case: schemathesis.Case[Any], ids: dict[str, str]) -> None:
    """Have the case ask for what exists."""
    for parameters in (case.path_parameters, case.query, case.body):
        if isinstance(parameters, dict):
            for name in parameters.keys() & ids.keys():
                parameters[name] = ids[name]


def _words(error: BaseException) -> str:
    inner = getattr(error, "exceptions", None)
    return "\n".join(_words(each) for each in inner) if inner else f"{type(error).__name__}: {str(error)[:1500]}"
