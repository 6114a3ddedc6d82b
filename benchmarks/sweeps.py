"""Containers to read, and a C program that reads the same files and makes nothing of them."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from agent.host.cgroup import CgroupReader
from agent.host.links import LinkCounters
from agent.model.metrics import Target
from benchmarks.platforms import local_image
from kit.clock import SystemClock
from tests.e2e.platform import docker

_REMOVED_AT_ONCE: Final = 10
_SOURCE: Final = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
static double spent(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}
int main(int argc, char **argv) {
    static int files[16384];
    static char buffer[16384];
    char path[4096];
    int count = 0, sweeps = atoi(argv[1]);
    unsigned long long sum = 0;
    while (count < 16384 && fgets(path, sizeof path, stdin)) {
        path[strcspn(path, "\n")] = 0;
        if ((files[count] = open(path, O_RDONLY)) >= 0) count++;
    }
    double before = spent();
    for (int sweep = 0; sweep < sweeps; sweep++)
        for (int file = 0; file < count; file++) {
            ssize_t length = pread(files[file], buffer, sizeof buffer - 1, 0);
            if (length <= 0) continue;
            buffer[length] = 0;
            for (char *at = strpbrk(buffer, "0123456789"); at; at = strpbrk(at, "0123456789"))
                sum += strtoull(at, &at, 10);
        }
    fprintf(stderr, "%llu\n", sum);
    printf("%.9f\n", (spent() - before) / sweeps);
    return argc != 2;
}
"""


@contextlib.contextmanager
def running_containers(count: int) -> Iterator[list[Target]]:
    """So many containers that sleep; they are gone at the end."""
    with local_image() as image:
        ids: list[str] = []
        try:
            for _ in range(count):  # one at a time, so that those which were made are removed whatever happens
                ids += docker("run", "-d", image, "/bin/sh", "-c", "exec sleep 3600").split()
            pids = docker("inspect", "-f", "{{.State.Pid}}", *ids).split()
            yield [Target(container_id=id_, pid=int(pid)) for id_, pid in zip(ids, pids, strict=True)]
        finally:
            for start in range(0, len(ids), _REMOVED_AT_ONCE):
                docker("rm", "-f", *ids[start : start + _REMOVED_AT_ONCE])


def make_reader() -> CgroupReader:
    """A reader of this machine, as the agent makes it."""
    return CgroupReader(
        proc_dir=Path("/proc"), cgroup_dir=Path("/sys/fs/cgroup"), clock=SystemClock(), links=LinkCounters()
    )


def list_held(targets: Sequence[Target]) -> list[str]:
    """The paths of the files that this process holds open of the containers."""
    ids = {target.container_id for target in targets}
    links = [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    return sorted(link for link in links if any(id_ in link for id_ in ids))


def build_loop(folder: Path) -> Path:
    """The compiled program: it reads paths, opens them, and tells the CPU seconds of one sweep."""
    source, program = folder / "loop.c", folder / "loop"
    source.write_text(_SOURCE)
    subprocess.run(["cc", "-O2", "-w", "-o", program, source], check=True)
    return program


def run_loop(program: Path, paths: Sequence[str], *, sweeps: int) -> float:
    """CPU seconds of one sweep."""
    done = subprocess.run([program, str(sweeps)], input="\n".join(paths), capture_output=True, text=True, check=True)
    return float(done.stdout)


def find_engine() -> int:
    """The process id of the engine that answers here."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() == "dockerd":
                return int(folder.name)
        except OSError:
            continue
    raise RuntimeError("cannot find dockerd: is the engine on this machine?")
