"""A container's cgroups are found from its process or by the engine's naming, and never another's."""

from __future__ import annotations

from agent.rules.cgroup_paths import UNIFIED, list_folders, parse_cgroups

ID = "802bde4f990e"


def test_paths_are_told_for_each_controller() -> None:
    text = f"9:name=systemd:/docker/{ID}\n4:cpu,cpuacct:/docker/{ID}\n3:memory:/a:b\n0::/\nnonsense\n2:x\n"

    assert parse_cgroups(text) == {
        "name=systemd": f"/docker/{ID}",
        "cpu": f"/docker/{ID}",
        "cpuacct": f"/docker/{ID}",
        "memory": "/a:b",
        UNIFIED: "/",
    }


def test_the_path_of_the_process_comes_first_and_the_engines_naming_behind_it() -> None:
    found = list_folders(UNIFIED, ID, {UNIFIED: f"/machines/docker-{ID}.scope"})

    assert found[:2] == [f"unified/machines/docker-{ID}.scope", f"machines/docker-{ID}.scope"]
    assert f"docker/{ID}" in found
    assert f"system.slice/docker-{ID}.scope" in found


def test_a_path_that_does_not_name_the_container_is_not_taken() -> None:
    found = list_folders("memory", ID, {"memory": "/process_api/other"})

    assert found == [f"memory/docker/{ID}", f"memory/system.slice/docker-{ID}.scope"]


def test_cpu_time_of_cgroup_1_may_be_mounted_with_or_without_cpu() -> None:
    assert list_folders("cpuacct", ID, {})[:2] == [f"cpuacct/docker/{ID}", f"cpu,cpuacct/docker/{ID}"]
