"""Tags over HTTP, whole and in parts."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession

from tests.registry import WEB, bearer, make_manifest, push_blob, put_manifest

_TAGS = ["1.10", "1.9", "B", "_x", "a", "latest"]


@pytest.fixture
async def tagged(registry_http: ClientSession) -> ClientSession:
    await push_blob(registry_http, b"config")
    for tag in reversed(_TAGS):
        async with put_manifest(registry_http, tag, make_manifest(b"config")) as answer:
            assert answer.status == 201
    return registry_http


async def test_tags_are_listed_in_the_order_of_their_bytes(tagged: ClientSession) -> None:
    async with tagged.get(f"/v2/{WEB}/tags/list", headers=bearer("viewer")) as answer:
        assert await answer.json() == {"name": str(WEB), "tags": _TAGS}
        assert "Link" not in answer.headers


async def test_a_service_without_images_has_no_tags(registry_http: ClientSession) -> None:
    async with registry_http.get(f"/v2/{WEB}/tags/list", headers=bearer("viewer")) as answer:
        assert answer.status == 200
        assert await answer.json() == {"name": str(WEB), "tags": []}


async def test_tags_come_in_parts_that_lead_to_each_other(tagged: ClientSession) -> None:
    async with tagged.get(f"/v2/{WEB}/tags/list?n=4", headers=bearer("viewer")) as answer:
        assert (await answer.json())["tags"] == _TAGS[:4]
        assert answer.headers["Link"] == f'</v2/{WEB}/tags/list?n=4&last=_x>; rel="next"'
    async with tagged.get(f"/v2/{WEB}/tags/list?n=4&last=_x", headers=bearer("viewer")) as answer:
        assert (await answer.json())["tags"] == _TAGS[4:]
        assert "Link" not in answer.headers


@pytest.mark.parametrize(
    ("query", "tags"), [("n=0", []), ("n=6", _TAGS), ("last=a", ["latest"]), ("last=2", _TAGS[2:]), ("last=zz", [])]
)
async def test_a_part_of_the_tags(tagged: ClientSession, query: str, tags: list[str]) -> None:
    async with tagged.get(f"/v2/{WEB}/tags/list?{query}", headers=bearer("viewer")) as answer:
        assert (await answer.json())["tags"] == tags
        assert "Link" not in answer.headers


@pytest.mark.parametrize("n", ["x", "1.5"])
async def test_a_count_that_is_no_number_is_refused(registry_http: ClientSession, n: str) -> None:
    async with registry_http.get(f"/v2/{WEB}/tags/list?n={n}", headers=bearer("viewer")) as answer:
        assert answer.status == 400
