"""Builds on the real engine: what they tell, what they keep out, and that cancelling ends them for certain."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path

import docker
import pytest

from agent.core.faults import BuildFailed
from agent.host.docker.engine import DockerEngine
from tests.waiting import eventually

SLEEP = "sleep 611"


def build(engine: DockerEngine, folder: Path, *, tag: str, dockerfile: str = "Dockerfile") -> AsyncGenerator[str]:
    return engine.build_image(
        folder,
        dockerfile=dockerfile,
        tag=tag,
        labels={"moorage.service": "web"},
        cpu_millis=500,
        memory_bytes=64 * 1024 * 1024,
    )


async def collect(lines: AsyncGenerator[str], *, into: list[str] | None = None) -> list[str]:
    got = [] if into is None else into
    async for line in lines:
        got.append(line)
    return got


@pytest.fixture
def tag(engine_node_id: str) -> str:
    return f"moorage-test/{engine_node_id}:1"


async def test_cancelling_a_build_ends_its_step_within_seconds(
    real_engine: DockerEngine, docker_engine: docker.DockerClient, busybox_image: str, tag: str, tmp_path: Path
) -> None:
    marker = f"{SLEEP} # {tag}"
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox_image}\nRUN {marker}\n")

    def steps() -> list[str]:
        return [row["Id"] for row in docker_engine.api.containers(all=True) if tag in row["Command"]]

    async with contextlib.aclosing(build(real_engine, tmp_path, tag=tag)) as lines:
        async for line in lines:
            if "Running in" in line:
                break
        await eventually(partial(asyncio.to_thread, steps))
    await eventually(partial(asyncio.to_thread, steps), met=lambda left: not left)
    assert await real_engine.find_image(tag) is None


async def test_a_failing_step_is_told_with_its_output_and_leaves_no_container(
    real_engine: DockerEngine, docker_engine: docker.DockerClient, busybox_image: str, tag: str, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox_image}\nRUN echo about to fail {tag}; exit 3\n")
    lines: list[str] = []
    with pytest.raises(BuildFailed, match="returned a non-zero code: 3"):
        await collect(build(real_engine, tmp_path, tag=tag), into=lines)
    assert f"about to fail {tag}" in lines
    assert [row for row in docker_engine.api.containers(all=True) if tag in row["Command"]] == []


async def test_output_comes_while_the_build_runs(
    real_engine: DockerEngine, busybox_image: str, tag: str, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox_image}\nRUN echo first {tag}; {SLEEP}\n")
    async with asyncio.timeout(60), contextlib.aclosing(build(real_engine, tmp_path, tag=tag)) as lines:
        async for line in lines:
            if line == f"first {tag}":
                break


async def test_a_build_sees_the_folder_without_what_is_ignored(
    real_engine: DockerEngine, docker_engine: docker.DockerClient, busybox_image: str, tag: str, tmp_path: Path
) -> None:
    (tmp_path / ".dockerignore").write_text("# comment\nsecret*\nnode_modules\n!node_modules/kept\n")
    (tmp_path / "secret.key").write_text("x")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "big").write_text("x")
    (tmp_path / "node_modules" / "kept").write_text("kept")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "Custom.Dockerfile").write_text(f"FROM {busybox_image}\nCOPY . /src\nRUN ls -lR /src\n")
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "outside").symlink_to("/etc")
    (tmp_path / "big.bin").write_bytes(os.urandom(3_000_001))
    os.mkfifo(tmp_path / "pipe")
    lines = await collect(build(real_engine, tmp_path, tag=tag, dockerfile="build/Custom.Dockerfile"))
    listing = "\n".join(lines)
    image = await real_engine.find_image(tag)

    assert "kept" in listing
    assert "3000001" in listing
    assert "-rwxr-xr-x" in listing
    assert "outside -> /etc" in listing
    assert not any(word in listing for word in ("secret.key", " big\n", " pipe"))
    assert image is not None
    labels = docker_engine.images.get(tag).labels
    assert labels["moorage.service"] == "web"
    assert labels["moorage.node"] in tag


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "Dockerfile"),
        ("FRMO scratch\n", "(?i)unknown instruction: FRMO"),
        ("FROM 127.0.0.1:9/absent:1\n", "127.0.0.1:9"),
        ("FROM scratch\nCOPY absent /\n", "absent"),
    ],
    ids=["no Dockerfile", "bad instruction", "no base", "no file"],
)
async def test_a_build_that_cannot_be_says_why(
    real_engine: DockerEngine, tag: str, tmp_path: Path, text: str | None, words: str
) -> None:
    (tmp_path / "other").write_text("x")
    if text is not None:
        (tmp_path / "Dockerfile").write_text(text)
    with pytest.raises(BuildFailed, match=words):
        await collect(build(real_engine, tmp_path, tag=tag))


async def test_a_folder_that_is_not_there_fails_the_build(real_engine: DockerEngine, tag: str, tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="cannot read its context"):
        await collect(build(real_engine, tmp_path / "absent", tag=tag))


async def test_a_step_that_wants_more_memory_than_allowed_fails(
    real_engine: DockerEngine, busybox_image: str, tag: str, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox_image}\nRUN tail /dev/zero # {tag}\n")
    with pytest.raises(BuildFailed, match="non-zero code: 137"):
        await collect(build(real_engine, tmp_path, tag=tag))
