"""Containers are read from captured cgroup v2 files and from real containers of this machine."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import docker

from agent.core.ports import Engine
from agent.host.cgroup import CgroupReader
from agent.host.docker.engine import DockerEngine
from agent.host.links import LinkCounters
from agent.model.engine import Container
from agent.model.metrics import DeviceIo, MemoryDetail, Reading, ReadingSource, Target
from kit.clock import SystemClock
from tests.fakes.clock import FakeClock
from tests.fixtures.engine import SpecMaker
from tests.waiting import eventually

SAMPLE = Path(__file__).parents[2] / "data" / "cgroup2-sample"
ID = "802bde4f990e6b2161981ef2e12a263c9fe1f9dfb70b2c850f432a0cd524f8dd"
SCOPE = f"system.slice/docker-{ID}.scope"


def reader_of(root: Path) -> CgroupReader:
    return CgroupReader(proc_dir=root / "proc", cgroup_dir=root / "sys/fs/cgroup", clock=SystemClock())


def real_reader() -> CgroupReader:
    return CgroupReader(
        proc_dir=Path("/proc"), cgroup_dir=Path("/sys/fs/cgroup"), clock=SystemClock(), links=LinkCounters()
    )


async def read_one(reader: CgroupReader, container_id: str = ID, pid: int = 578) -> Reading:
    return (await reader.read([Target(container_id=container_id, pid=pid)]))[0]


async def test_every_value_of_a_pure_cgroup_2_machine_is_read_with_its_source() -> None:
    reader = reader_of(SAMPLE)
    reading = await read_one(reader)

    assert (reading.cpu_usage_usec, reading.cpu_source) == (2299634, ReadingSource.CGROUP2)
    assert (reading.memory_current_bytes, reading.memory_source) == (11096064, ReadingSource.CGROUP2)
    assert (reading.pids, reading.oom_kills) == (2, 0)
    assert (reading.network_received_bytes, reading.network_sent_bytes) == (1797, 625)
    assert reading.network_source is ReadingSource.PROCFS
    assert (reading.cpu_user_usec, reading.cpu_system_usec) == (1721561, 578073)
    assert reading.cpu_throttled_usec == 1998294
    assert reading.memory == MemoryDetail(
        peak_bytes=12283904,
        limit_bytes=67108864,
        anon_bytes=102400,
        file_bytes=10379264,
        kernel_bytes=614400,
        swap_bytes=0,
    )
    assert reading.io == (DeviceIo(device="254:0", read_bytes=1978368, written_bytes=8392704),)
    assert reading.io_source is ReadingSource.CGROUP2
    assert reading.cpu_pressure_usec == 1720203
    assert (reading.memory_pressure_usec, reading.io_pressure_usec) == (0, 13710)
    await reader.close()


async def test_files_stay_open_between_readings_and_are_closed_when_the_container_is_dropped() -> None:
    reader = reader_of(SAMPLE)
    await read_one(reader)
    held = reader.open_files
    await read_one(reader)
    again = reader.open_files
    await reader.keep([ID])
    kept = reader.open_files
    await reader.drop([ID, "another"])

    assert held == again == kept == 9
    assert reader.open_files == 0


async def test_what_the_machine_does_not_have_is_unknown_and_never_zero(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "sys/fs/cgroup" / SCOPE
    for name in ("cpu.stat", "memory.current", "memory.events", "pids.current", "io.stat"):
        (folder / name).unlink()
    for name in ("cpu.pressure", "memory.pressure", "io.pressure", "cgroup.procs"):
        (folder / name).unlink()
    (tmp_path / "proc/578/net/dev").unlink()
    reader = reader_of(tmp_path)
    reading = await read_one(reader)

    assert reading == Reading(container_id=ID, recorded_at=reading.recorded_at)
    await reader.close()


async def test_without_a_memory_controller_the_resident_memory_of_all_processes_is_told(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "sys/fs/cgroup" / SCOPE / "memory.current").unlink()
    for pid, pages in ((578, 10), (609, 7)):
        (tmp_path / f"proc/{pid}").mkdir(exist_ok=True)
        (tmp_path / f"proc/{pid}/statm").write_text(f"100 {pages} 3 1 0 2 0\n")
    reader = reader_of(tmp_path)
    reading = await read_one(reader)

    assert reading.memory_source is ReadingSource.PROCFS
    assert reading.memory_current_bytes is not None
    assert reading.memory_current_bytes % 17 == 0
    assert reading.memory_current_bytes >= 17 * 4096
    await reader.close()


async def test_a_reading_says_what_the_files_say_now_also_what_they_said_before_and_what_nobody_understands(
    tmp_path: Path,
) -> None:
    shutil.copytree(SAMPLE, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "sys/fs/cgroup" / SCOPE / "pids.current"
    reader = reader_of(tmp_path)
    said = []
    for text in ("2\n", "3\n", "3\n", "many\n", "3\n", "2\n"):
        file.write_text(text)
        said.append((await read_one(reader)).pids)
    await reader.close()

    assert said == [2, 3, 3, None, 3, 2]


async def test_what_memory_is_made_of_is_read_again_within_fifteen_seconds(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path, dirs_exist_ok=True)
    clock = FakeClock()
    await clock.advance(7.0)
    reader = CgroupReader(proc_dir=tmp_path / "proc", cgroup_dir=tmp_path / "sys/fs/cgroup", clock=clock)
    folder = tmp_path / "sys/fs/cgroup" / SCOPE
    before = await read_one(reader)
    (folder / "memory.max").write_text("max\n")
    (folder / "memory.swap.current").unlink()
    await clock.advance(15.0)
    after = await read_one(reader)
    await reader.close()

    assert (before.memory.limit_bytes, before.memory.swap_bytes) == (67108864, 0)
    assert (after.memory.limit_bytes, after.memory.swap_bytes) == (None, None)
    assert after.memory.anon_bytes == before.memory.anon_bytes


async def test_a_process_of_another_container_is_not_read(tmp_path: Path) -> None:
    reader = reader_of(SAMPLE)
    reading = await read_one(reader, "f" * 64)

    assert reading == Reading(container_id="f" * 64, recorded_at=reading.recorded_at)
    assert reader.open_files == 0


async def run(engine: Engine, make_spec: SpecMaker, *command: str, **fields: object) -> Container:
    id_ = await engine.create_container(make_spec(command=command, **fields))
    await engine.start_container(id_)
    return next(each for each in await engine.list_containers() if each.id == id_)


async def test_a_real_container_reads_about_what_the_engine_says(
    real_engine: DockerEngine, docker_engine: docker.DockerClient, make_spec: SpecMaker
) -> None:
    hold = "a=$(head -c 6000000 /dev/zero | tr '\\0' x); i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"
    container = await run(real_engine, make_spec, "sh", "-c", f"sleep 600 & {hold}; echo still; wait")
    assert container.pid is not None
    target = Target(container_id=container.id, pid=container.pid)
    await eventually(lambda: asyncio.to_thread(docker_engine.api.logs, container.id), met=lambda said: b"still" in said)
    reader = real_reader()
    reading = (await reader.read([target]))[0]
    said = await asyncio.to_thread(docker_engine.api.stats, container.id, stream=False)
    after = (await reader.read([target]))[0]
    await reader.close()

    assert reading.cpu_usage_usec is not None
    assert reading.memory_current_bytes is not None
    cpu_usec = said["cpu_stats"]["cpu_usage"]["total_usage"] / 1000
    assert cpu_usec * 0.5 <= reading.cpu_usage_usec <= cpu_usec * 1.5 + 20_000
    memory_bytes = said["memory_stats"]["usage"]
    assert abs(reading.memory_current_bytes - memory_bytes) <= max(4 << 20, memory_bytes * 0.25)
    assert reading.pids == said["pids_stats"]["current"]
    assert reading.oom_kills == 0
    assert reading.network_received_bytes is not None
    assert after.network_received_bytes is not None
    assert reading.network_received_bytes <= said["networks"]["eth0"]["rx_bytes"] <= after.network_received_bytes
    assert reading.network_received_bytes > 0
    assert reading.network_source is ReadingSource.NETLINK
    assert reading.memory.limit_bytes == said["memory_stats"]["limit"]
    assert reading.memory.anon_bytes is not None
    assert reading.memory.anon_bytes >= 6_000_000
    assert {reading.cpu_source, reading.memory_source} <= {ReadingSource.CGROUP1, ReadingSource.CGROUP2}


async def test_an_oom_kill_inside_a_real_container_is_counted(real_engine: DockerEngine, make_spec: SpecMaker) -> None:
    eat = "(tail /dev/zero); sleep 600"
    container = await run(real_engine, make_spec, "sh", "-c", eat, memory_bytes=16 << 20)
    reader = real_reader()
    assert container.pid is not None
    target = Target(container_id=container.id, pid=container.pid)
    async with asyncio.timeout(30):
        while True:
            reading = (await reader.read([target]))[0]
            if reading.oom_kills:
                break
            await asyncio.sleep(0.05)
    await reader.close()

    assert reading.oom_kills == 1


async def test_a_container_that_has_ended_reads_as_unknown(real_engine: DockerEngine, make_spec: SpecMaker) -> None:
    container = await run(real_engine, make_spec, "sleep", "600")
    reader = real_reader()
    assert container.pid is not None
    target = Target(container_id=container.id, pid=container.pid)
    before = (await reader.read([target]))[0]
    await real_engine.remove_container(container.id)
    after = (await reader.read([target]))[0]
    await reader.close()

    assert before.cpu_usage_usec is not None
    assert after == Reading(container_id=container.id, recorded_at=after.recorded_at)
    assert re.fullmatch(r"[0-9a-f]{64}", container.id)
