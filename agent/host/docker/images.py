"""Images: found, pulled, pushed, tagged and removed, with the registry's own words when it refuses."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any, NoReturn
from urllib.parse import quote

import aiohttp

from agent.core.faults import EngineRefused, ImageNotFound, PullFailed, PushFailed, RegistryDenied
from agent.host.docker.session import EngineSession
from agent.model.engine import HeldImage, Image
from agent.rules.engine_containers import NODE_LABEL
from agent.rules.engine_stream import JsonLines, ProgressLines, find_error
from agent.rules.image_references import Refused, decide_refusal, find_registry, hide_secret, split_reference
from kit.faults import Fault

_Login = tuple[str, str] | None


class EngineImages:
    """Operations on the engine's images."""

    def __init__(self, session: EngineSession) -> None:
        self._session = session

    async def find(self, reference: str) -> Image | None:
        """The image that the reference names, or None."""
        try:
            answer = await self._session.call(
                "GET", f"/images/{_quoted(reference)}/json", doing=f"look for image {reference}"
            )
        except EngineRefused as refused:
            if refused.engine_status == 404:
                return None
            raise
        return Image(id=answer["Id"], digests=tuple(answer.get("RepoDigests") or ()), size_bytes=answer["Size"])

    async def list(self) -> tuple[HeldImage, ...]:
        """Every image that carries a node's label."""
        listed = await self._session.call(
            "GET", "/images/json", doing="list images", params={"filters": json.dumps({"label": [NODE_LABEL]})}
        )
        return tuple(
            HeldImage(
                id=row["Id"],
                references=tuple(
                    reference
                    for reference in (*(row.get("RepoTags") or ()), *(row.get("RepoDigests") or ()))
                    if "<none>" not in reference
                ),
                node_id=(row.get("Labels") or {}).get(NODE_LABEL, ""),
                created_at=dt.datetime.fromtimestamp(row["Created"], dt.UTC),
                size_bytes=row["Size"],
            )
            for row in listed
        )

    async def pull(
        self,
        reference: str,
        *,
        login: _Login,
        timeout_seconds: float,
        progress: Callable[[str], None] | None,
        bearer: str | None,
    ) -> Image:
        """Pull it and return it."""
        doing = f"pull image {reference}"
        secret = bearer or (login[1] if login else None)
        repository, tag = split_reference(reference)
        lines = ProgressLines()
        try:
            async with asyncio.timeout(timeout_seconds):
                async with self._session.open(
                    "POST",
                    "/images/create",
                    doing=doing,
                    params={"fromImage": repository, "tag": tag},
                    headers=_authenticate(reference, login, bearer=bearer),
                ) as response:
                    async for record in read_records(response):
                        if (sentence := find_error(record)) is not None:
                            _raise_pull(doing, sentence, secret=secret)
                        for line in lines.feed(record):
                            if progress is not None:
                                progress(line)
        except EngineRefused as refused:
            _raise_pull(doing, refused.reason, secret=secret)
        except TimeoutError as error:
            raise PullFailed(f"cannot {doing}: it did not arrive within {timeout_seconds:g} s") from error
        image = await self.find(reference)
        if image is None:
            raise PullFailed(f"cannot {doing}: the engine ended the pull without the image")
        return image

    async def push(self, reference: str, *, login: _Login, timeout_seconds: float) -> str:
        """Push it and return the digest of its manifest."""
        doing = f"push image {reference}"
        repository, tag = split_reference(reference)
        digest: str | None = None
        try:
            async with asyncio.timeout(timeout_seconds):
                async with self._session.open(
                    "POST",
                    f"/images/{_quoted(repository)}/push",
                    doing=doing,
                    params={"tag": tag},
                    headers=_authenticate(reference, login, bearer=None),
                ) as response:
                    async for record in read_records(response):
                        if (sentence := find_error(record)) is not None:
                            _raise_push(doing, sentence, login=login)
                        digest = _find_digest(record) or digest
        except EngineRefused as refused:
            if refused.engine_status == 404:
                raise ImageNotFound(f"cannot {doing}: {refused.reason}") from refused
            _raise_push(doing, refused.reason, login=login)
        except TimeoutError as error:
            raise PushFailed(f"cannot {doing}: it did not end within {timeout_seconds:g} s") from error
        if digest is None:
            raise PushFailed(f"cannot {doing}: the engine ended the push without the manifest's digest")
        return digest

    async def tag(self, image_id: str, reference: str) -> None:
        """Let the reference name the image."""
        repository, tag = split_reference(reference)
        doing = f"tag image {image_id} as {reference}"
        try:
            await self._session.call(
                "POST", f"/images/{_quoted(image_id)}/tag", doing=doing, params={"repo": repository, "tag": tag}
            )
        except EngineRefused as refused:
            if refused.engine_status == 404:
                raise ImageNotFound(f"cannot {doing}: {refused.reason}") from refused
            raise

    async def remove(self, reference: str) -> None:
        """Remove the reference, and the image with its last one; never by force."""
        try:
            await self._session.call("DELETE", f"/images/{_quoted(reference)}", doing=f"remove image {reference}")
        except EngineRefused as refused:
            if refused.engine_status not in {404, 409}:
                raise


async def read_records(response: aiohttp.ClientResponse) -> AsyncGenerator[dict[str, Any]]:
    """The JSON objects of a streamed answer, as they come."""
    lines = JsonLines()
    async for chunk in response.content.iter_any():
        for record in lines.feed(chunk):
            yield record
    for record in lines.finish():
        yield record


def _quoted(reference: str) -> str:
    return quote(reference, safe="/:@")


def _authenticate(reference: str, login: _Login, *, bearer: str | None) -> dict[str, str]:
    # The engine wants the header on a push even when it says nothing.
    said: dict[str, str] = {}
    if bearer is not None:
        said = {"registrytoken": bearer, "serveraddress": find_registry(reference)}
    elif login is not None:
        said = {"username": login[0], "password": login[1], "serveraddress": find_registry(reference)}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(said).encode()).decode()}


def _find_digest(record: dict[str, Any]) -> str | None:
    match record:
        case {"aux": {"Digest": str(digest)}}:
            return digest
        case _:
            return None


def _raise_pull(doing: str, sentence: str, *, secret: str | None) -> NoReturn:
    faults: dict[Refused, type[Fault]] = {
        Refused.DENIED: RegistryDenied,
        Refused.MISSING: ImageNotFound,
        Refused.OTHER: PullFailed,
    }
    raise faults[decide_refusal(sentence)](f"cannot {doing}: {hide_secret(sentence, secret)}")


def _raise_push(doing: str, sentence: str, *, login: _Login) -> NoReturn:
    fault: type[Fault] = RegistryDenied if decide_refusal(sentence) is Refused.DENIED else PushFailed
    if "does not exist locally" in sentence:
        fault = ImageNotFound
    raise fault(f"cannot {doing}: {hide_secret(sentence, login[1] if login else None)}")
