"""The command line takes a folder to a running service."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from client.api import Api
from tests.e2e.platform import ROOT, Platform, put_service, write_site

pytestmark = pytest.mark.timeout(300)


async def moorage(config: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """What the command line does with these arguments."""
    command = [sys.executable, "-m", "client", "--config", str(config), *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, input=given, capture_output=True, text=True, check=False, timeout=120
    )


async def test_log_in_push_and_look(platform: Platform, api: Api, tmp_path: Path) -> None:
    config = tmp_path / "login.json"
    refused = await moorage(config, "login", platform.api_url, "--with-token", given="moor_guess\n")
    assert refused.returncode == 1
    assert not config.exists()
    assert (await moorage(config, "services")).stderr.startswith("error: cannot tell where controld is")

    logged_in = await moorage(config, "login", platform.api_url, "--with-token", given=f"{platform.token}\n")
    assert logged_in.returncode == 0, logged_in.stderr

    folder = tmp_path / "site"
    await asyncio.to_thread(write_site, folder, "pushed")
    nowhere = await moorage(config, "push", "by-command", str(folder))
    assert "cannot find the service by-command" in nowhere.stderr
    await put_service(api, "by-command")
    pushed = await moorage(config, "push", "default/by-command", str(folder))
    assert pushed.returncode == 0, pushed.stdout + pushed.stderr
    assert pushed.stdout.splitlines()[-1] == "Healthy"

    listed = await moorage(config, "services")
    assert "default/by-command\tHealthy\tby-command-default.localhost" in listed.stdout
    again = await moorage(config, "redeploy", "by-command")
    assert again.returncode == 0, again.stdout
    deployments = await moorage(config, "deployments", "by-command")
    assert [line.split("\t")[2] for line in deployments.stdout.splitlines()] == ["Healthy", "Inactive"]


async def test_a_push_that_fails_says_so_by_its_status(platform: Platform, api: Api, tmp_path: Path) -> None:
    config = tmp_path / "login.json"
    await moorage(config, "login", platform.api_url, "--with-token", given=f"{platform.token}\n")
    folder = tmp_path / "site"
    await asyncio.to_thread(write_site, folder, "broken")
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY nosuch /nosuch\n")
    await put_service(api, "broken-push")
    pushed = await moorage(config, "push", "broken-push", str(folder))
    assert pushed.returncode == 1
    assert "nosuch" in pushed.stdout
    assert pushed.stdout.splitlines()[-1].startswith("Failed: ")


@pytest.mark.parametrize("program", ["agent", "controld"])
async def test_the_doctor_finds_nothing_broken_on_a_machine_that_works(platform: Platform, program: str) -> None:
    settings = platform.places.agent_settings if program == "agent" else platform.places.controld_settings
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", program, "doctor", "--json", "--config", settings, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    broken = [finding for finding in json.loads(said)["findings"] if finding["verdict"] == "fail"]
    assert (broken, process.returncode) == ([], 0)
