"""A plain client of the distribution API, and the list of what the specification asks of a registry."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeVar

from aiohttp import ClientResponse, ClientSession

IMAGE: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Registry:
    """A registry under judgement: a session with a credential, two repositories, and an algorithm of digests."""

    http: ClientSession
    repository: str
    other: str
    algorithm: str
    numbers: itertools.count[int] = dataclasses.field(default_factory=lambda: itertools.count(1))

    def fresh(self) -> bytes:
        """Bytes that no repository has."""
        return f"{self.repository} {self.algorithm} {next(self.numbers)}".encode() * 100

    def digest(self, data: bytes) -> str:
        """The digest of the bytes."""
        return f"{self.algorithm}:{hashlib.new(self.algorithm, data).hexdigest()}"

    def url(self, rest: str, *, repository: str | None = None) -> str:
        """A path of the repository."""
        return f"/v2/{repository or self.repository}/{rest}"

    @contextlib.asynccontextmanager
    async def ask(
        self, method: str, path: str, status: int, *, data: Any = None, **headers: str
    ) -> AsyncIterator[ClientResponse]:
        """The answer, which has this status; headers are named with `_` for `-`."""
        if isinstance(data, bytes):
            data = io.BytesIO(data)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(method, path, data=data, headers=named) as answer:
            assert answer.status == status, f"{method} {path}: {answer.status}, not {status}: {await answer.text()}"
            yield answer

    async def start(self) -> str:
        """Where a new upload goes on."""
        async with self.ask("POST", self.url("blobs/uploads/"), 202) as answer:
            return answer.headers["Location"]

    async def push_blob(self, data: bytes, *, repository: str | None = None) -> str:
        """The digest of a blob that is there from then on."""
        digest = self.digest(data)
        async with self.ask("POST", self.url(f"blobs/uploads/?digest={digest}", repository=repository), 201, data=data):
            return digest

    def make_image(self, config: bytes, /, *layers: bytes, **more: Any) -> bytes:
        """The bytes of an image manifest."""
        told = {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": self.describe(config, _CONFIG),
            "layers": [self.describe(layer, _LAYER) for layer in layers],
            **more,
        }
        return json.dumps(told).encode()

    def describe(self, data: bytes, media_type: str) -> dict[str, Any]:
        """How a manifest names the bytes."""
        return {"mediaType": media_type, "digest": self.digest(data), "size": len(data)}

    async def put(self, reference: str, manifest: bytes, *, media_type: str = IMAGE) -> dict[str, str]:
        """The headers of a manifest's acceptance."""
        url = self.url(f"manifests/{reference}")
        async with self.ask("PUT", url, 201, data=manifest, Content_Type=media_type) as answer:
            return dict(answer.headers)

    async def push_image(self, reference: str | None = None, **more: Any) -> bytes:
        """A manifest of a fresh configuration and layer, pushed by its digest and under a tag."""
        config, layer = self.fresh(), self.fresh()
        for data in (config, layer):
            await self.push_blob(data)
        manifest = self.make_image(config, layer, **more)
        for each in (self.digest(manifest), *([reference] if reference else [])):
            await self.put(each, manifest)
        return manifest

    async def read(self, path: str) -> bytes:
        """The body of what is there."""
        async with self.ask("GET", path, 200) as answer:
            return await answer.read()


async def code_of(answer: ClientResponse) -> str:
    """The code of the first error of an error list, which is as the specification has it."""
    (first, *_) = (await answer.json())["errors"]
    assert set(first) <= {"code", "message", "detail"}
    assert isinstance(first["message"], str)
    code: str = first["code"]
    return code


Check = Callable[[Registry], Awaitable[None]]
C = TypeVar("C", bound=Check)


@dataclasses.dataclass(frozen=True)
class Requirement:
    """One thing that the specification asks, and how it is seen."""

    workflow: str
    says: str
    check: Check


REQUIREMENTS: Final[list[Requirement]] = []


def requirement(workflow: str, says: str) -> Callable[[C], C]:
    """Put a check on the list."""

    def add(check: C) -> C:
        REQUIREMENTS.append(Requirement(workflow, says, check))
        return check

    return add
