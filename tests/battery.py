"""One battery of cases that holds for every surface, whatever its words.

A surface takes part by a class of its own:

    class TestMySurface(Battery):
        @pytest.fixture
        def subject(self) -> Subject:
            return Subject(surface=..., credential={"Authorization": ...}, foreign={"Authorization": ...})
"""

from __future__ import annotations

import dataclasses
import io
import logging
import re
from collections.abc import AsyncIterator, Mapping

import msgspec
import pytest
from aiohttp import ClientSession

from kit import faults
from kit.faults import STATUS, Fault, Kind
from kit.http.surface import PUBLIC, Ask, Route, Surface
from tests.serving import serve

_SECRET = "the detail that only the log may hold"
_ID = "018f3a5c-7b1e-7c3a-9d2f-0123456789ab"
_JSON = {"Content-Type": "application/json"}

EVERY_FAULT: tuple[type[Fault], ...] = (
    faults.Invalid,
    faults.Malformed,
    faults.UnsupportedMedia,
    faults.Unauthenticated,
    faults.Forbidden,
    faults.NotFound,
    faults.MethodNotAllowed,
    faults.Conflict,
    faults.Gone,
    faults.TooLarge,
    faults.RangeNotSatisfiable,
    faults.Limited,
    faults.Unavailable,
    faults.TimedOut,
    faults.Internal,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """A surface under the battery: headers of a good and of a bad caller, and statuses that it words in its own way."""

    surface: Surface
    credential: Mapping[str, str]
    foreign: Mapping[str, str]
    statuses: Mapping[Kind, int] = dataclasses.field(default_factory=dict)

    def status_of(self, kind: Kind) -> int:
        """The status under which this surface tells a kind of fault."""
        return self.statuses.get(kind, STATUS[kind])

    @property
    def base(self) -> str:
        """The path under which the battery adds its own routes."""
        return f"{self.surface.claims[0].rstrip('/')}/battery-probe"


class Thing(msgspec.Struct, frozen=True):
    """What the battery sends."""

    name: str
    sizes: list[int]


class Battery:
    """The cases; a subclass gives the `subject` fixture."""

    @pytest.fixture
    async def http(self, subject: Subject) -> AsyncIterator[ClientSession]:
        async with serve(_with_probes(subject)) as session:
            yield session

    async def test_a_good_caller_is_answered(self, subject: Subject, http: ClientSession) -> None:
        async with http.get(f"{subject.base}/things", headers=subject.credential) as answer:
            assert answer.status == 200
            assert await answer.json() == {"name": "a", "sizes": [1]}
            assert answer.content_type == "application/json"

    async def test_every_answer_has_its_own_request_id(self, subject: Subject, http: ClientSession) -> None:
        seen = set()
        for path in ("things", "things", "unknown", "bug"):
            async with http.get(f"{subject.base}/{path}", headers=subject.credential) as answer:
                seen.add(answer.headers["X-Request-Id"])
        assert len(seen) == 4

    async def test_every_answer_has_the_headers_of_the_surface(self, subject: Subject, http: ClientSession) -> None:
        for path in ("things", "bug", "faults/conflict"):
            async with http.get(f"{subject.base}/{path}", headers=subject.credential) as answer:
                for name, value in subject.surface.response_headers.items():
                    assert answer.headers[name] == value

    async def test_an_unknown_path_is_told_as_not_found(self, subject: Subject, http: ClientSession) -> None:
        if subject.surface.not_found is not None:
            return
        async with http.get(f"{subject.base}/unknown", headers=subject.credential) as answer:
            assert answer.status == subject.status_of(Kind.NOT_FOUND)

    async def test_a_wrong_method_is_told_with_those_allowed(self, subject: Subject, http: ClientSession) -> None:
        async with http.delete(f"{subject.base}/things", headers=subject.credential) as answer:
            assert answer.status == subject.status_of(Kind.METHOD_NOT_ALLOWED)
            assert answer.headers["Allow"] == "GET, HEAD, POST"

    async def test_what_a_stranger_learns_is_only_that_a_credential_is_needed(
        self, subject: Subject, http: ClientSession
    ) -> None:
        if not subject.surface.credential_first or subject.surface.not_found is not None:
            return
        wanted = subject.status_of(Kind.UNAUTHENTICATED)
        for method, path in (("GET", "unknown"), ("DELETE", "things"), ("GET", "things/not-an-id")):
            async with http.request(method, f"{subject.base}/{path}") as answer:
                assert answer.status == wanted, (method, path)

    async def test_head_answers_as_get_without_a_body(self, subject: Subject, http: ClientSession) -> None:
        async with http.head(f"{subject.base}/things", headers=subject.credential) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Length"] == str(len(b'{"name":"a","sizes":[1]}'))
            assert await answer.read() == b""

    async def test_no_route_answers_a_stranger_unless_it_is_public(self, subject: Subject, http: ClientSession) -> None:
        for route in subject.surface.routes:
            if route.access == PUBLIC:
                continue
            for headers in ({}, subject.foreign):
                async with http.request(route.method, _example_path(route), headers=headers) as answer:
                    assert answer.status == subject.status_of(Kind.UNAUTHENTICATED), (route.method, route.path)

    async def test_a_missing_or_foreign_credential_is_refused_before_the_body_is_read(
        self, subject: Subject, http: ClientSession
    ) -> None:
        for headers in ({}, subject.foreign):
            async with http.post(f"{subject.base}/things", data=b"{", headers={**headers, **_JSON}) as answer:
                assert answer.status == subject.status_of(Kind.UNAUTHENTICATED)

    @pytest.mark.parametrize(
        ("data", "content_type", "kind"),
        [
            pytest.param(b'{"name": ', "application/json", Kind.INVALID, id="cut short"),
            pytest.param(b"", "application/json", Kind.INVALID, id="empty"),
            pytest.param(b"\xff\xfe\x00", "application/json", Kind.INVALID, id="not utf-8"),
            pytest.param(b"[" * 100_000, "application/json", Kind.MALFORMED, id="deep"),
            pytest.param(b'{"sizes": []}', "application/json", Kind.MALFORMED, id="missing field"),
            pytest.param(b'{"name": "a", "sizes": ["b"]}', "application/json", Kind.MALFORMED, id="wrong type"),
            pytest.param(b'{"name": "a", "sizes": []}', "text/plain", Kind.UNSUPPORTED_MEDIA, id="not json"),
            pytest.param(b" " * (1024 * 1024 + 1), "application/json", Kind.TOO_LARGE, id="oversize"),
        ],
    )
    async def test_a_bad_body_is_told_for_what_it_is(
        self, subject: Subject, http: ClientSession, data: bytes, content_type: str, kind: Kind
    ) -> None:
        headers = {**subject.credential, "Content-Type": content_type}
        async with http.post(f"{subject.base}/things", data=io.BytesIO(data), headers=headers) as answer:
            assert answer.status == subject.status_of(kind)

    async def test_an_oversize_body_without_a_length_is_refused(self, subject: Subject, http: ClientSession) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(40):
                yield b" " * 65_536

        headers = {**subject.credential, **_JSON}
        async with http.post(f"{subject.base}/things", data=pieces(), headers=headers) as answer:
            assert answer.status == subject.status_of(Kind.TOO_LARGE)

    @pytest.mark.parametrize("fault", EVERY_FAULT)
    async def test_each_kind_of_fault_has_its_status_and_its_message(
        self, subject: Subject, http: ClientSession, fault: type[Fault]
    ) -> None:
        async with http.get(f"{subject.base}/faults/{fault.code}", headers=subject.credential) as answer:
            assert answer.status == subject.status_of(fault.kind)
            assert answer.headers["Retry-After"] == "7"

    async def test_a_bug_is_told_as_internal_and_only_the_log_has_its_detail(
        self, subject: Subject, http: ClientSession, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.ERROR):
            async with http.get(f"{subject.base}/bug", headers=subject.credential) as answer:
                body = await answer.text()
                request_id = answer.headers["X-Request-Id"]
                assert answer.status == subject.status_of(Kind.INTERNAL)
        assert _SECRET not in body
        assert "Traceback" not in body
        records = [record for record in caplog.records if getattr(record, "request_id", None) == request_id]
        assert len(records) == 1
        assert records[0].exc_info is not None
        assert _SECRET in str(records[0].exc_info[1])

    async def test_an_id_that_is_no_uuid_is_refused(self, subject: Subject, http: ClientSession) -> None:
        for bad in ("x", _ID.replace("-", ""), f"{_ID}0", f"%20{_ID}", f"{_ID}%0A"):
            async with http.get(f"{subject.base}/things/{bad}", headers=subject.credential) as answer:
                assert answer.status == subject.status_of(Kind.INVALID), bad


def _example_path(route: Route) -> str:
    return re.sub(
        r"\{([a-z_]+)[^{}]*\}", lambda name: _ID if name[1] == "id" or name[1].endswith("_id") else "x", route.path
    )


def _with_probes(subject: Subject) -> Surface:
    async def get_things(_: Ask) -> Thing:
        return Thing(name="a", sizes=[1])

    async def create_thing(ask: Ask) -> Thing:
        thing: Thing = ask.body
        return thing

    async def get_thing(ask: Ask) -> dict[str, str]:
        return dict(ask.path)

    async def raise_fault(ask: Ask) -> None:
        kind = next(fault for fault in EVERY_FAULT if fault.code == ask.path["code"])
        raise kind("cannot do it: the battery says so", retry_after_seconds=7)

    async def raise_bug(_: Ask) -> None:
        raise KeyError(_SECRET)

    base = subject.base
    probes = (
        Route(method="GET", path=f"{base}/things", access="any", handler=get_things, summary="probe"),
        Route(method="POST", path=f"{base}/things", access="any", handler=create_thing, summary="probe", body=Thing),
        Route(method="GET", path=f"{base}/things/{{thing_id}}", access="any", handler=get_thing, summary="probe"),
        Route(method="GET", path=f"{base}/faults/{{code}}", access="any", handler=raise_fault, summary="probe"),
        Route(method="GET", path=f"{base}/bug", access="any", handler=raise_bug, summary="probe"),
    )
    return dataclasses.replace(subject.surface, routes=(*subject.surface.routes, *probes), before=None)
