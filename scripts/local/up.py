"""Start a whole platform on this machine and deploy the example; again, it mends what is missing."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import msgspec

from client.api import Api
from client.faults import Refused, Unreachable
from client.messages import Node
from kit.faults import Fault
from kit.ids import SystemIds
from scripts.local.configuration import ROOT, render_agent_settings, render_controld_settings, render_programs
from scripts.local.example import Example, deploy_example
from scripts.local.places import Places, Ports, choose_ports, read_ports
from scripts.local.say import die, say
from scripts.local.supervision import Supervisor, render_configuration

_ADMIN = "admin"
_MACHINE_LOCK = Path("/run/moorage-up.lock")


class UpFile(msgspec.Struct, kw_only=True):
    """`up.json`: what a program needs to know of this platform."""

    api_url: str
    ingress_http_url: str
    admin_token_file: str
    node_id: str
    example: Example | None


async def bring_up(places: Places, ports: Ports, *, example: bool) -> UpFile:
    """Bring everything up in order and return what `up.json` says."""
    supervisor = Supervisor(places)
    programs = render_programs(places)
    first = programs if _is_joined(places) else {"controld": programs["controld"]}
    say("starting controld")
    supervisor.start(render_configuration(places, programs=first))
    api_url = f"http://127.0.0.1:{ports.api}"
    async with Api(api_url) as public:
        await _until(public.is_healthy, seconds=60, what="controld answers", log=places.logs / "controld.log")
    token = await _ensure_admin(places, api_url)
    async with Api(api_url, token=token) as api:
        if not _is_joined(places):
            say("enrolling this machine as a node")
            await _join(places, api)
            supervisor.start(render_configuration(places, programs=programs))
        say("waiting for the node")
        node = await _await_node(places, api)
        deployed = None
        if example:
            deployed = await deploy_example(places, api, http_port=ports.http)
    return UpFile(
        api_url=api_url,
        ingress_http_url=f"http://127.0.0.1:{ports.http}",
        admin_token_file=str(places.admin_token),
        node_id=node.id,
        example=deployed,
    )


def _is_joined(places: Places) -> bool:
    return (places.agent / "identity" / "identity.json").exists()


async def _ensure_admin(places: Places, api_url: str) -> str:
    if places.admin_token.exists():
        token = places.admin_token.read_text().strip()
        async with Api(api_url, token=token) as api:
            try:
                await api.list_projects()
            except Refused as refused:
                say(f"the admin's token is refused ({refused.message}): making another")
            else:
                return token
    if not places.admin_password.exists():
        places.write_secret(places.admin_password, SystemIds().new_secret(16) + "\n")
    password = places.admin_password.read_text().strip()
    setup_secret = (places.controld / "setup-secret").read_text().strip()
    async with Api(api_url, token=setup_secret) as setup:
        try:
            await setup.bootstrap(username=_ADMIN, password=password)
            say(f"made the user {_ADMIN}, password in {places.admin_password}")
        except Refused as refused:
            if refused.remote_status != 409:
                raise
    async with Api(api_url) as anonymous:
        session = await anonymous.log_in(username=_ADMIN, password=password)
    async with Api(api_url, token=session.token) as api:
        made = await api.make_token("scripts/up")
    places.write_secret(places.admin_token, made.token + "\n")
    return made.token


async def _join(places: Places, api: Api) -> None:
    made = await api.make_join_token()
    command = [sys.executable, "-P", "-m", "agent", "join", "--config", str(places.agent_settings), "--token-file", "-"]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        input=made.token,
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    if done.returncode != 0:
        die(f"cannot enrol this machine:\n{done.stdout}{done.stderr}")


async def _await_node(places: Places, api: Api) -> Node:
    found: list[Node] = []

    async def is_ready() -> bool:
        found[:] = [node for node in await api.list_nodes() if node.state == "ready"]
        return bool(found)

    await _until(is_ready, seconds=90, what="the node is ready", log=places.logs / "agent.log")
    return found[0]


async def _until(condition: Callable[[], Awaitable[bool]], *, seconds: float, what: str, log: Path) -> None:
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    if await condition():
                        return
                except Unreachable:
                    pass
                await asyncio.sleep(0.2)
    except TimeoutError:
        die(f"gave up after {seconds:g}s waiting until {what}; the end of {log}:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else "(no log)"


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/up", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".moorage"), help="where everything is kept")
    parser.add_argument("--port", type=int, help="TCP port of the API")
    parser.add_argument("--http-port", type=int, help="TCP port of ingress for HTTP")
    parser.add_argument("--https-port", type=int, help="TCP port of ingress for HTTPS")
    parser.add_argument("--no-example", action="store_true", help="do not deploy the example")
    return parser.parse_args(arguments)


def main() -> None:
    """Run with the arguments of the command line; the status is 0 when everything runs."""
    options = _parse(sys.argv[1:])
    places = Places(options.state.resolve())
    places.make()
    with (places.run / "up.lock").open("w") as lock, _MACHINE_LOCK.open("w") as machine:
        fcntl.flock(lock, fcntl.LOCK_EX)
        earlier = read_ports(places)
        if earlier is None:
            # Ports that were found free are taken only once the daemons listen.
            fcntl.flock(machine, fcntl.LOCK_EX)
        ports = choose_ports(earlier, api=options.port, http=options.http_port, https=options.https_port)
        places.ports.write_bytes(msgspec.json.encode(ports))
        places.controld_settings.write_text(render_controld_settings(places, ports))
        places.agent_settings.write_text(render_agent_settings(places, ports))
        try:
            up = asyncio.run(bring_up(places, ports, example=not options.no_example))
        except (Fault, aiohttp.ClientError, OSError, RuntimeError) as error:
            doctor = f"{sys.executable} -m agent doctor --config {places.agent_settings}"
            die(f"{error}\nlogs are in {places.logs}; for what this machine lacks: {doctor}")
        places.up.write_bytes(msgspec.json.format(msgspec.json.encode(up)) + b"\n")
    _tell(places, up)


def _tell(places: Places, up: UpFile) -> None:
    if up.example is not None:
        print(f"example     {up.example.url}")
    print(f"API         {up.api_url}")
    print(f"admin token {up.admin_token_file}")
    print(f"all of it   {places.up}")


if __name__ == "__main__":
    main()
