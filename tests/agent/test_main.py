"""The agent's command says what is wrong and with which status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def _run(*arguments: str, config: str, folder: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    file = folder / "agent.toml"
    file.write_text(config)
    return subprocess.run(
        [sys.executable, "-m", "agent", *arguments, "--config", str(file)],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_machine_that_is_no_node_yet_is_told_to_enrol(tmp_path: Path) -> None:
    done = _run("run", config=f'data_dir = "{tmp_path}"\n', folder=tmp_path)
    assert done.returncode == 3
    assert "enrol it with a join token" in done.stderr


def test_bad_settings_are_all_named_at_once(tmp_path: Path) -> None:
    done = _run("run", config='listen_port = "many"\nnosuch = 1\n', folder=tmp_path)
    assert done.returncode == 2
    assert "listen_port" in done.stderr
    assert "nosuch" in done.stderr


@pytest.mark.parametrize("word", ["", "hello", "moorage-join-!!!"])
def test_a_word_that_is_no_join_token_is_refused_without_a_traceback(tmp_path: Path, word: str) -> None:
    done = _run("join", config=f'data_dir = "{tmp_path}"\n', folder=tmp_path, given=word)
    assert done.returncode == 1
    assert "not a join token" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_files_of_ingress_can_be_written_before_the_agent_runs(tmp_path: Path) -> None:
    state = tmp_path / "haproxy"
    config = f'haproxy_dir = "{state}"\nhaproxy_run_dir = "{tmp_path}/run"\nhttp_port = 18080\nhttps_port = 18443\n'
    done = _run("ingress", config=config, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    checked = subprocess.run(
        ["/usr/sbin/haproxy", "-c", "-f", str(state / "base.cfg"), "-f", str(state / "pool.cfg")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
