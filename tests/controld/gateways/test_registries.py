"""Digests asked of real registries on loopback, in each way to sign in, and of none that lies inside."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import AsyncIterator, Sequence

import pytest
from aiohttp import web

from controld.core.faults import RegistryRefused
from controld.gateways.registries import RegistryCalls
from kit.addresses import Address
from tests.fakes.image_registry import ImageRegistry
from tests.serving import serve_app
from wire.agent.builds import RegistryLogin

_MANIFEST = b"{}"
_DIGEST = "sha256:" + hashlib.sha256(_MANIFEST).hexdigest()
_LOGIN = ("bot", "hush-1")


@pytest.fixture
async def registry() -> AsyncIterator[ImageRegistry]:
    served = ImageRegistry()
    served.manifests["team/app", "1"] = (_MANIFEST, "application/vnd.oci.image.manifest.v1+json")
    async with served.serve():
        yield served


@pytest.mark.parametrize(
    ("wants_login", "bearer", "login"),
    [
        (False, None, None),
        (True, None, RegistryLogin(username="bot", password="hush-1")),
        (True, "t-1", RegistryLogin(username="bot", password="hush-1")),
        (True, "t-1", RegistryLogin(token="t-1")),
        (False, "t-1", None),
    ],
    ids=["anonymous", "basic", "token for a password", "token as it is", "token for nobody"],
)
async def test_the_digest_of_a_tag_is_told(
    registry: ImageRegistry, wants_login: bool, bearer: str | None, login: RegistryLogin | None
) -> None:
    registry.login, registry.bearer = _LOGIN if wants_login else None, bearer
    calls = RegistryCalls(allow_private=True)
    assert await calls.resolve(f"{registry.host}/team/app:1", login=login) == _DIGEST


@pytest.mark.parametrize("bearer", [None, "t-1"])
@pytest.mark.parametrize(
    "login", [None, RegistryLogin(username="bot", password="wrong"), RegistryLogin(token="wrong")], ids=lambda _: ""
)
async def test_a_sign_in_that_is_refused_is_told_without_its_words(
    registry: ImageRegistry, bearer: str | None, login: RegistryLogin | None
) -> None:
    registry.login, registry.bearer = _LOGIN, bearer
    with pytest.raises(RegistryRefused, match="refuses the sign-in") as caught:
        await RegistryCalls(allow_private=True).resolve(f"{registry.host}/team/app:1", login=login)
    assert "wrong" not in caught.value.message


async def test_an_image_that_is_not_there_is_told(registry: ImageRegistry) -> None:
    with pytest.raises(RegistryRefused, match="no such image"):
        await RegistryCalls(allow_private=True).resolve(f"{registry.host}/team/app:2", login=None)


async def test_a_registry_that_does_not_answer_is_left_to_the_node(registry: ImageRegistry, free_port: int) -> None:
    calls = RegistryCalls(allow_private=True, limit_seconds=0.2)
    assert await calls.resolve(f"127.0.0.1:{free_port}/team/app:1", login=None) is None
    registry.stalled = True
    assert await calls.resolve(f"{registry.host}/team/app:1", login=None) is None


async def test_a_registry_inside_is_never_asked(registry: ImageRegistry) -> None:
    port = registry.host.partition(":")[2]
    looked_up: list[str] = []

    async def look_up(host: str) -> Sequence[Address]:
        looked_up.append(host)
        return [ipaddress.ip_address("192.0.43.8"), ipaddress.ip_address("127.0.0.1")]

    calls = RegistryCalls(allow_private=False, lookup=look_up)
    login = RegistryLogin(username="bot", password="hush-1")
    for host in (registry.host, f"localhost:{port}", f"registry.example:{port}", "[::ffff:127.0.0.1]:1", "100.64.0.1"):
        with pytest.raises(RegistryRefused, match="allow_private_registries"):
            await calls.resolve(f"{host}/team/app:1", login=login)
    assert looked_up == ["localhost", "registry.example"]
    assert registry.asked == 0


@pytest.mark.parametrize("realm", ["http://10.0.0.1/token", "http://auth.example/token", "ftp://127.0.0.1/token"])
async def test_a_realm_that_would_get_the_password_in_the_clear_is_refused(registry: ImageRegistry, realm: str) -> None:
    registry.login, registry.bearer, registry.realm = _LOGIN, "t-1", realm
    with pytest.raises(RegistryRefused, match="https"):
        await RegistryCalls(allow_private=True).resolve(
            f"{registry.host}/team/app:1", login=RegistryLogin(username="bot", password="hush-1")
        )


async def test_a_redirect_is_not_followed(registry: ImageRegistry) -> None:
    async def lead_on(_: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect(f"http://{registry.host}/v2/team/app/manifests/1")

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", lead_on)
    async with serve_app(app) as host:
        assert await RegistryCalls(allow_private=True).resolve(f"{host}/team/app:1", login=None) is None
    assert registry.asked == 0
