"""How each route of `/v1` is asked in the matrix of roles: a line for every route, and what a place holds."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from controld.model.certificate import HttpProof
from controld.model.user import Session
from controld.store.certificates import CertificateStore
from controld.store.consoles import ConsoleStore
from controld.store.nodes import NodeStore
from tests.controld.app import PASSWORD, App, service_body
from tests.controld.consoles import make_console
from tests.controld.deploying import ARCHIVE, make_node
from tests.controld.jobs import IMAGE_SOURCE, job_body
from tests.roles.callers import Who
from tests.roles.world import Ids, Probe, World, fill
from wire.link import HostReport

_PROOF: Final = HttpProof(token="proof", body="proof.of-an-account")
_HOST: Final = HostReport(
    cpu_user_jiffies=1,
    cpu_nice_jiffies=1,
    cpu_system_jiffies=1,
    cpu_idle_jiffies=1,
    cpu_iowait_jiffies=1,
    cpu_count=2,
    memory_total_bytes=2,
    memory_available_bytes=1,
    load_1m=0.5,
    load_5m=0.5,
    load_15m=0.5,
    disk_total_bytes=2,
    disk_available_bytes=1,
    recorded_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
)


@asynccontextmanager
async def open_world(app: App) -> AsyncIterator[World]:
    """A served `/v1` with two projects, `home` and `elsewhere`, and one of everything in each."""
    ids = {name: await app.add_project(name) for name in ("home", "elsewhere")}
    app.reports.host = _HOST
    around = {name: await make_surroundings(app, project_id) for name, project_id in ids.items()}
    async with app.serve() as http:
        bare = World(app=app, http=http, home={}, elsewhere={})
        places = {name: {**around[name], **await make_place(bare, project_id)} for name, project_id in ids.items()}
        yield World(app=app, http=http, home=places["home"], elsewhere=places["elsewhere"])


async def make_place(world: World, project_id: str) -> dict[str, str]:
    """One of everything in the project; the keys are the parameters of paths."""
    service = await world.make("POST", "/v1/services", service_body(project_id))
    place = {"project_id": project_id, "service_id": service["id"], "action": "stop"}
    place["deployment_id"] = await _deploy(world, place)
    registry = await world.make("POST", f"/v1/projects/{project_id}/registries", {**_REGISTRY, "name": "first"})
    place["registry_id"] = registry["id"]
    place["session_id"] = await _add_console(world.app, project_id, service["id"])
    asked = {"hostname": f"{project_id}.example.com"}
    domain = await world.make("POST", f"/v1/services/{service['id']}/domains", asked)
    place |= {"domain_id": domain["id"], "hostname": domain["hostname"], "token": domain["challenge_token"]}
    async with world.app.database.write() as tx:
        await CertificateStore().add_proof(tx, domain["hostname"], proof=_PROOF, now=world.app.clock.now())
    place |= await _add_job(world, project_id)
    key = await world.make("POST", f"/v1/projects/{project_id}/credentials/git", {"name": "kept"})
    place["secret_ref"] = f"git-{key['id']}"
    return place


async def make_surroundings(app: App, project_id: str) -> dict[str, str]:
    """What belongs to no project: a node, a user without a role, and a session that is nobody's."""
    return {
        "node_id": await _add_node(app, project_id),
        "user_id": (await app.add_user(f"bystander-{project_id}")).id,
        "session": "00000000",
        "token_id": project_id,
    }


async def _add_node(app: App, node_id: str) -> str:
    async with app.database.write() as tx:
        await NodeStore().add(tx, dataclasses.replace(make_node(node_id), name=f"node-{node_id}"))
    return node_id


async def _add_console(app: App, project_id: str, service_id: str) -> str:
    """A console that has ended, with a transcript."""
    console = dataclasses.replace(make_console(app.ids.new_id()), project_id=project_id, service_id=service_id)
    transcript = app.console_parts.transcripts.open(console)
    transcript.note_output(b"hello")
    async with app.database.write() as tx:
        await ConsoleStore().add(tx, console)
        await ConsoleStore().finish(tx, console.id, at=app.clock.now(), how="exited", exit_code=0)
        await ConsoleStore().note_transcript(tx, console.id, size_bytes=await transcript.close())
    return console.id


async def _deploy(world: World, ids: Ids) -> str:
    asked = {"source": "redeploy", "service_id": ids["service_id"]}
    return str((await world.make("POST", "/v1/deployments", asked))["id"])


async def _fresh_service(world: World, _: Who) -> Ids:
    name = f"fresh-{next(world.numbers)}"
    service = await world.make("POST", "/v1/services", service_body(world.home["project_id"], name=name))
    return {"service_id": service["id"]}


async def _fresh_deployment(world: World, _: Who) -> Ids:
    return {"deployment_id": await _deploy(world, world.home)}


async def _add_job(world: World, project_id: str) -> dict[str, str]:
    job = await world.make("POST", "/v1/jobs", job_body(project_id))
    run = await world.make("POST", f"/v1/jobs/{job['id']}/run")
    return {"job_id": job["id"], "run_id": run["id"]}


async def _fresh_run(world: World, _: Who) -> Ids:
    return await _add_job(world, world.home["project_id"])


async def _fresh_user(world: World, _: Who) -> Ids:
    return {"user_id": (await world.app.add_user(f"fresh-{next(world.numbers)}")).id}


async def _fresh_node(world: World, _: Who) -> Ids:
    return {"node_id": await _add_node(world.app, f"00000000-0000-7000-8000-{next(world.numbers):012}")}


async def _fresh_session(world: World, who: Who) -> Ids:
    assert who.user is not None
    name = f"{next(world.numbers):08x}"
    now = world.app.clock.now()
    session = Session(
        id=name,
        token_sha256=name.ljust(64, "0"),
        user_id=who.user.id,
        created_at=now,
        expires_at=now + dt.timedelta(hours=1),
        last_used_at=now,
    )
    async with world.app.database.write() as tx:
        await world.app.credential_store.add_session(tx, session)
    return {"session": name}


async def _fresh_token(world: World, who: Who) -> Ids:
    async with world.http.post("/v1/api-tokens", json={"name": "fresh"}, headers=who.headers) as answer:
        return {"token_id": (await answer.json())["id"]}


def _fresh(method: str, path: str, **body: Any) -> Callable[[World, Who], Awaitable[Ids]]:
    """Makes something in `home` by a POST whose answer has its id; values may name other ids as `{service_id}`."""

    async def make(world: World, _: Who) -> Ids:
        number = str(next(world.numbers))
        made = await world.make(
            "POST",
            path.format(**world.home),
            {
                key: fill(value.replace("#", number), world.home) if isinstance(value, str) else value
                for key, value in body.items()
            },
        )
        return {method: str(made["id"]), "name": str(made.get("name", ""))}

    return make


_REGISTRY: Final = {"name": "r", "endpoint": "ghcr.io", "auth_kind": "anonymous"}
_SEEN: Final = Probe()
_PERSON: Final = Probe(refusal=409)

PROBES: Final[dict[str, Probe]] = {
    "GET /healthz": _SEEN,
    "GET /v1/node": _SEEN,
    "GET /v1/metrics/node": _SEEN,
    "POST /v1/auth/login": Probe(body=lambda _: {"username": "x", "password": "x"}, statuses=(400, 401, 429)),
    "POST /v1/auth/logout": _SEEN,
    "GET /v1/auth/sessions": _PERSON,
    "DELETE /v1/auth/sessions": _PERSON,
    "DELETE /v1/auth/sessions/{session}": Probe(fresh=_fresh_session, refusal=409),
    "GET /v1/me": _SEEN,
    "PUT /v1/me/password": Probe(body=lambda _: {"current_password": PASSWORD, "new_password": PASSWORD}),
    "POST /v1/bootstrap": Probe(body=lambda _: {"username": "first", "password": PASSWORD}, statuses=(201, 409)),
    "GET /v1/users": _SEEN,
    "POST /v1/users": Probe(body=lambda _: {"username": "made", "password": PASSWORD}, statuses=(201, 409)),
    "GET /v1/users/directory": _SEEN,
    "PATCH /v1/users/{user_id}": Probe(body=lambda _: {"password": PASSWORD}),
    "GET /v1/users/{user_id}/api-tokens": _SEEN,
    "DELETE /v1/users/{user_id}/sessions": _SEEN,
    "DELETE /v1/users/{user_id}": Probe(fresh=_fresh_user),
    "GET /v1/api-tokens": _SEEN,
    "POST /v1/api-tokens": Probe(body=lambda _: {"name": "made"}),
    "DELETE /v1/api-tokens/{token_id}": Probe(fresh=_fresh_token),
    "GET /v1/projects": _SEEN,
    "POST /v1/projects": Probe(body=lambda _: {"name": "made"}, statuses=(201, 409)),
    "GET /v1/projects/{project_id}": _SEEN,
    "PUT /v1/projects/{project_id}": Probe(body=lambda _: {"description": "changed"}),
    "DELETE /v1/projects/{project_id}": Probe(statuses=(409,)),
    "GET /v1/projects/{project_id}/members": _SEEN,
    "POST /v1/projects/{project_id}/members": Probe(body=lambda ids: {"user_id": ids["user_id"], "role": "viewer"}),
    "DELETE /v1/projects/{project_id}/members/{user_id}": _SEEN,
    "GET /v1/services": _SEEN,
    "POST /v1/services": Probe(body=lambda ids: service_body(ids["project_id"])),
    "GET /v1/services/{service_id}": _SEEN,
    "PUT /v1/services/{service_id}": Probe(body=lambda ids: service_body(ids["project_id"])),
    "DELETE /v1/services/{service_id}": Probe(fresh=_fresh_service),
    "GET /v1/services/{service_id}/domains": _SEEN,
    "POST /v1/services/{service_id}/domains": Probe(
        body=lambda ids: {"hostname": f"new.{ids['project_id']}.example.com"}, statuses=(201, 409)
    ),
    "GET /v1/services/{service_id}/domains/{domain_id}": _SEEN,
    "POST /v1/services/{service_id}/domains/{domain_id}/verify": _SEEN,
    "DELETE /v1/services/{service_id}/domains/{domain_id}": Probe(
        fresh=_fresh("domain_id", "/v1/services/{service_id}/domains", hostname="fresh-#.example.com")
    ),
    "GET /.well-known/denia-challenge/{token}": Probe(headers=lambda ids: {"Host": ids["hostname"]}),
    "GET /v1/ingress/routes": _SEEN,
    "GET /v1/certificates": _SEEN,
    "GET /.well-known/acme-challenge/{token}": Probe(ids={"token": _PROOF.token}),
    "GET /v1/projects/{project_id}/credentials/git": _SEEN,
    "POST /v1/projects/{project_id}/credentials/git": Probe(body=lambda _: {}, statuses=(201, 409)),
    "DELETE /v1/projects/{project_id}/credentials/git": Probe(
        query="?name=fresh", fresh=_fresh("key_id", "/v1/projects/{project_id}/credentials/git", name="fresh")
    ),
    "GET /v1/credentials": _SEEN,
    "POST /v1/credentials/git": Probe(
        body=lambda ids: {"name": "kept", "kind": "SshDeployKey", "secret_ref": ids["secret_ref"]}
    ),
    "GET /v1/projects/{project_id}/registries": _SEEN,
    "POST /v1/projects/{project_id}/registries": Probe(body=lambda _: _REGISTRY, statuses=(201, 409)),
    "GET /v1/projects/{project_id}/registries/{registry_id}": _SEEN,
    "PUT /v1/projects/{project_id}/registries/{registry_id}": Probe(body=lambda _: {**_REGISTRY, "name": "first"}),
    "PATCH /v1/projects/{project_id}/registries/{registry_id}": Probe(body=lambda _: {**_REGISTRY, "name": "first"}),
    "DELETE /v1/projects/{project_id}/registries/{registry_id}": Probe(
        fresh=_fresh("registry_id", "/v1/projects/{project_id}/registries", **{**_REGISTRY, "name": "fresh-#"})
    ),
    "GET /v1/nodes": _SEEN,
    "POST /v1/nodes/join-tokens": Probe(body=lambda _: {}),
    "GET /v1/nodes/{node_id}": _SEEN,
    "GET /v1/nodes/{node_id}/metrics": _SEEN,
    "DELETE /v1/nodes/{node_id}": Probe(fresh=_fresh_node),
    "POST /v1/nodes/{node_id}/drain": _SEEN,
    "POST /v1/nodes/{node_id}/undrain": _SEEN,
    "PUT /v1/nodes/{node_id}/labels": Probe(body=lambda _: {"labels": {}}),
    "PATCH /v1/nodes/{node_id}/labels": Probe(body=lambda _: {"labels": {}}),
    "GET /v1/workloads": _SEEN,
    "POST /v1/services/{service_id}/uploads": Probe(data=ARCHIVE),
    "POST /v1/deployments": Probe(body=lambda ids: {"source": "redeploy", "service_id": ids["service_id"]}),
    "GET /v1/deployments/{deployment_id}": _SEEN,
    "POST /v1/deployments/{deployment_id}/cancel": Probe(fresh=_fresh_deployment),
    "GET /v1/deployments/{deployment_id}/logs/stream": _SEEN,
    "GET /v1/services/{service_id}/deployments": _SEEN,
    "POST /v1/services/{service_id}/{action}": _SEEN,
    "GET /v1/services/{service_id}/logs": _SEEN,
    "GET /v1/services/{service_id}/logs/stream": _SEEN,
    "GET /v1/services/{service_id}/logs/export": _SEEN,
    "GET /v1/services/{service_id}/metrics": _SEEN,
    "GET /v1/services/{service_id}/requests": _SEEN,
    "GET /v1/services/{service_id}/console/replicas": Probe(statuses=(409,)),
    "POST /v1/services/{service_id}/console/tickets": Probe(body=lambda _: {"replica_index": 0}, statuses=(409,)),
    "GET /v1/services/{service_id}/console/ws": Probe(statuses=(400,)),
    "GET /v1/services/{service_id}/console/transcripts": _SEEN,
    "GET /v1/services/{service_id}/console/transcripts/{session_id}": _SEEN,
    "GET /v1/jobs": Probe(query="?project_id={project_id}"),
    "POST /v1/jobs": Probe(body=lambda ids: job_body(ids["project_id"])),
    "GET /v1/jobs/{job_id}": _SEEN,
    "PUT /v1/jobs/{job_id}": Probe(body=lambda ids: job_body(ids["project_id"])),
    "DELETE /v1/jobs/{job_id}": Probe(
        fresh=_fresh("job_id", "/v1/jobs", project_id="{project_id}", name="fresh", source=IMAGE_SOURCE)
    ),
    "POST /v1/jobs/{job_id}/run": Probe(statuses=(409,)),
    "GET /v1/jobs/{job_id}/runs": _SEEN,
    "GET /v1/jobs/{job_id}/runs/{run_id}": _SEEN,
    "POST /v1/jobs/{job_id}/runs/{run_id}/cancel": Probe(fresh=_fresh_run),
    "GET /v1/jobs/{job_id}/runs/{run_id}/logs": _SEEN,
    "GET /v1/jobs/{job_id}/runs/{run_id}/logs/stream": _SEEN,
    "GET /v1/audit": _SEEN,
    "GET /v1/registry/repositories": _SEEN,
    "GET /v1/registry/status": _SEEN,
    "POST /v1/registry/gc": _SEEN,
    "GET /v1/oci/cache/status": _SEEN,
    "POST /v1/oci/cache/gc": _SEEN,
    "GET /v1/openapi.json": _SEEN,
    "GET /v1/docs": _SEEN,
    "GET /v1/docs/page.js": _SEEN,
    "GET /v1/docs/page.css": _SEEN,
}
"""By method and path; a route that has no line here fails the test of the matrix."""
