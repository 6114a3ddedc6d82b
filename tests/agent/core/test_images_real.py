"""The account of images beside a real engine: what was built, pulled and kept goes, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import docker

from agent.core.images import Images
from agent.host.docker.engine import DockerEngine
from agent.host.holdings_file import DiskHoldings
from kit.clock import SystemClock
from tests.fakes.image_registry import ImageRegistry
from tests.fixtures.network import find_free_port
from wire.spec import NodeSpec

_SECONDS = 60.0


async def test_images_of_ours_go_and_those_of_a_person_stay(
    real_engine: DockerEngine, engine_node_id: str, docker_engine: docker.DockerClient, tmp_path: Path
) -> None:
    port = find_free_port()
    images = Images(
        real_engine,
        DiskHoldings(tmp_path / "images.json"),
        clock=SystemClock(),
        node_id=engine_node_id,
        registry_port=port,
    )
    images.attach(spec=lambda: NodeSpec(node_id=engine_node_id), in_work=tuple)
    before = await images.read_cache()
    registry = ImageRegistry()
    async with registry.serve():
        name = f"{registry.host}/team/{engine_node_id}"
        built = await _build(real_engine, tmp_path, f"127.0.0.1:{port}/shop/web:deployment-1", engine_node_id)
        await real_engine.tag_image(built, f"{name}:1")
        digest = await real_engine.push_image(f"{name}:1", login=None, timeout_seconds=_SECONDS)
        await real_engine.remove_image(f"{name}:1")
        await real_engine.remove_image(f"127.0.0.1:{port}/shop/web:deployment-1")
        assert await real_engine.find_image(built) is None

        # Pulled for us by digest; a person gives it a name of their own.
        await images.note(f"{name}@{digest}")
        pulled = await real_engine.pull_image(f"{name}@{digest}", login=None, timeout_seconds=_SECONDS)
        persons = f"moorage-test/{engine_node_id}:mine"
        await asyncio.to_thread(docker_engine.api.tag, pulled.id, f"moorage-test/{engine_node_id}", "mine")
        cache = await images.read_cache()
        assert cache.entries == before.entries + 1
        assert cache.total_bytes == before.total_bytes + pulled.size_bytes

        sweep, _ = await images.sweep(kept=(), newest=0, idle_seconds=0)
        assert await real_engine.find_image(persons) is not None
        assert await real_engine.find_image(f"{name}@{digest}") is None
        assert sweep.deleted == 0, "a name that is a person's keeps the image"

        # Pulled again, and nobody's but ours.
        await real_engine.remove_image(persons)
        await images.note(f"{name}@{digest}")
        await real_engine.pull_image(f"{name}@{digest}", login=None, timeout_seconds=_SECONDS)
        sweep, cache = await images.sweep(kept=(), newest=0, idle_seconds=0)
        assert (sweep.deleted, sweep.deleted_bytes) == (1, pulled.size_bytes)
        assert await real_engine.find_image(pulled.id) is None


async def _build(engine: DockerEngine, folder: Path, tag: str, word: str) -> str:
    context = folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY note /note\n")
    (context / "note").write_text(word)
    lines = engine.build_image(
        context, dockerfile="Dockerfile", tag=tag, labels={}, cpu_millis=500, memory_bytes=64 << 20
    )
    async for _ in lines:
        pass
    image = await engine.find_image(tag)
    assert image is not None
    return image.id
