"""A registry on loopback that keeps images in memory: what an engine's push and pull ask for."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import json
from collections.abc import AsyncIterator

from aiohttp import web


class ImageRegistry:
    """Serves images to whoever knows `login`, or to all; `host` names it in references once it serves.

    With `bearer` it wants a token: that one, which `realm` gives to whoever knows `login`. `authorizations` are the
    words that signed in. With `stalled` set, manifests are never answered. A refusal repeats the password
    that was sent, as careless registries do.
    """

    def __init__(self, *, login: tuple[str, str] | None = None, bearer: str | None = None) -> None:
        self.host = ""
        self.login = login
        self.bearer = bearer
        self.realm: str | None = None
        self.authorizations: list[str] = []
        self.asked = 0
        self.stalled = False
        self.manifests: dict[tuple[str, str], tuple[bytes, str]] = {}
        self._blobs: dict[str, bytes] = {}
        self._uploads: dict[str, bytearray] = {}
        self._numbers = itertools.count(1)
        self._ending = asyncio.Event()

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Listen on a free port of loopback until left."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_get("/token", self._token)
        app.router.add_get("/v2/", self._version)
        app.router.add_route("*", "/v2/{name:.+}/blobs/uploads/{upload:.*}", self._upload)
        app.router.add_route("*", "/v2/{name:.+}/blobs/{digest}", self._blob)
        app.router.add_route("*", "/v2/{name:.+}/manifests/{reference}", self._manifest)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.host = f"127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield
        finally:
            self._ending.set()
            await runner.cleanup()

    async def _version(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        return web.json_response({})

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        digest = request.match_info["digest"]
        if digest not in self._blobs:
            raise _refuse(web.HTTPNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
        return web.Response(body=self._blobs[digest], headers={"Docker-Content-Digest": digest})

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        name, upload = request.match_info["name"], request.match_info["upload"]
        if request.method == "POST":
            upload = f"u{next(self._numbers)}"
            self._uploads[upload] = bytearray()
        data = self._uploads[upload]
        data += await request.read()
        headers = {"Location": f"/v2/{name}/blobs/uploads/{upload}", "Docker-Upload-UUID": upload}
        if request.method == "PUT":
            digest = request.query["digest"]
            assert digest == _digest(bytes(data))
            self._blobs[digest] = bytes(data)
            return web.Response(status=201, headers={"Docker-Content-Digest": digest})
        return web.Response(status=202, headers={**headers, "Range": f"0-{max(0, len(data) - 1)}"})

    async def _manifest(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        if self.stalled:
            await self._ending.wait()
        name, reference = request.match_info["name"], request.match_info["reference"]
        if request.method == "PUT":
            body = await request.read()
            digest = _digest(body)
            for key in (reference, digest):
                self.manifests[name, key] = (body, request.content_type)
            return web.Response(status=201, headers={"Docker-Content-Digest": digest})
        found = self.manifests.get((name, reference))
        if found is None:
            raise _refuse(web.HTTPNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
        body, content_type = found
        return web.Response(body=body, content_type=content_type, headers={"Docker-Content-Digest": _digest(body)})

    async def _token(self, request: web.Request) -> web.StreamResponse:
        assert request.query["service"] == "images"
        assert request.query["scope"].startswith("repository:")
        self._check_login(request)
        return web.json_response({"token": self.bearer})

    def _admit(self, request: web.Request) -> None:
        self.asked += 1
        if self.bearer is None:
            self._check_login(request)
            return
        said = request.headers.get("Authorization", "")
        if said != f"Bearer {self.bearer}":
            refusal = _refuse(web.HTTPUnauthorized, "UNAUTHORIZED", f"wrong token {said.removeprefix('Bearer ')}")
            realm = self.realm or f"http://{self.host}/token"
            refusal.headers["WWW-Authenticate"] = f'Bearer realm="{realm}",service="images"'
            raise refusal
        self.authorizations.append(said)

    def _check_login(self, request: web.Request) -> None:
        if self.login is None:
            return
        said = request.headers.get("Authorization", "").removeprefix("Basic ")
        try:
            user, _, password = base64.b64decode(said).decode().partition(":")
        except ValueError:
            user, password = "", ""
        if (user, password) != self.login:
            refusal = _refuse(web.HTTPUnauthorized, "UNAUTHORIZED", f"wrong password {password}")
            refusal.headers["WWW-Authenticate"] = 'Basic realm="test"'
            raise refusal
        self.authorizations.append(f"{user}:{password}")


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _refuse(kind: type[web.HTTPException], code: str, message: str) -> web.HTTPException:
    return kind(text=json.dumps({"errors": [{"code": code, "message": message}]}), content_type="application/json")
