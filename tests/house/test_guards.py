"""What every test is guarded against is really refused, and what it may ask for is really there."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from pathlib import Path

import docker
import pytest
import sqlalchemy as sa
from blockbuster import BlockingError
from sqlalchemy.ext.asyncio import create_async_engine

from kit.settings import read_settings, setting
from tests.fixtures.network import OutsideNetwork


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    port: int = setting(1, "A port.")


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    file = tmp_path / "x.toml"
    file.write_text("port = 2\n")
    return file


@pytest.mark.parametrize("host", ["192.0.2.1", "10.0.0.1", "2001:db8::1", "example.test"])
def test_an_address_that_is_not_on_this_machine_is_refused(host: str) -> None:
    with pytest.raises(OutsideNetwork):
        socket.create_connection((host, 80), timeout=1)


async def test_the_loop_cannot_reach_outside_either() -> None:
    with pytest.raises(OutsideNetwork):
        await asyncio.open_connection("192.0.2.1", 80)


def test_a_datagram_to_outside_is_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, pytest.raises(OutsideNetwork):
        sender.sendto(b"", ("192.0.2.1", 53))


async def test_loopback_can_be_reached(free_port: int) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", free_port)
    _, writer = await asyncio.open_connection("localhost", free_port)
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_code_of_ours_that_blocks_the_loop_is_caught(settings_file: Path) -> None:
    with pytest.raises(BlockingError):
        read_settings(_Settings, prefix="X_", environment={}, file=settings_file)


async def test_code_of_ours_may_block_in_a_thread(settings_file: Path) -> None:
    got = await asyncio.to_thread(read_settings, _Settings, prefix="X_", environment={}, file=settings_file)
    assert got.port == 2


@pytest.mark.parametrize("round_number", [1, 2])
async def test_each_test_gets_an_empty_database_of_its_own(postgres_url: str, round_number: int) -> None:
    engine = create_async_engine(postgres_url)
    try:
        async with engine.begin() as connection:
            await connection.execute(sa.text(f"CREATE TABLE the_only_one AS SELECT {round_number} AS value"))
    finally:
        await engine.dispose()


def test_a_container_of_the_small_image_runs_a_shell(docker_engine: docker.DockerClient, busybox_image: str) -> None:
    said = docker_engine.containers.run(busybox_image, ["sh", "-c", "echo $((6 * 7))"], remove=True)
    assert said == b"42\n"
