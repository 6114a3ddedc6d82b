"""A typed client of `/v1`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, BinaryIO, Final
from urllib.parse import quote, urlencode

import aiohttp
import msgspec

from client.calls import Calls
from client.faults import Refused, Unreachable, Unreadable
from client.messages import (
    AuditRecord,
    Certificate,
    ConsoleTicket,
    Deployment,
    Domain,
    GitCredential,
    Job,
    JobRun,
    JoinTokenMade,
    LoggedIn,
    Member,
    Node,
    Project,
    Registry,
    Service,
    Token,
    TokenMade,
    Uploaded,
    User,
    Workload,
)
from kit.http.sse_parse import Event

_UPLOAD_SECONDS: Final = 3600.0
_UNREACHABLE: Final = "X-Unreachable-Nodes"


class Api(Calls):
    """One controld as one caller sees it; used as `async with`.

    Every method raises Refused with controld's own sentence, Unreachable, or Unreadable.
    """

    async def is_healthy(self) -> bool:
        """Whether controld answers its liveness check."""
        try:
            await self._ask("GET", "/healthz", answer=dict[str, Any])
        except (Refused, Unreachable, Unreadable):
            return False
        return True

    async def bootstrap(self, *, username: str, password: str) -> None:
        """Make the first super-admin; the token is the setup secret."""
        await self._ask("POST", "/v1/bootstrap", answer=msgspec.Raw, body={"username": username, "password": password})

    async def log_in(self, *, username: str, password: str) -> LoggedIn:
        """A session for a password; asked without a credential."""
        return await self._ask(
            "POST", "/v1/auth/login", answer=LoggedIn, body={"username": username, "password": password}
        )

    async def make_token(self, name: str, *, limits: Mapping[str, str | None] | None = None) -> TokenMade:
        """A fresh API token of the caller's; `limits` may name `project_id`, `role` and `expires_at`."""
        return await self._ask("POST", "/v1/api-tokens", answer=TokenMade, body={"name": name, **(limits or {})})

    async def list_tokens(self, user_id: str | None = None) -> list[Token]:
        """The caller's API tokens, or for super-admins those of any user, newest first."""
        path = "/v1/api-tokens" if user_id is None else f"/v1/users/{user_id}/api-tokens"
        return await self._ask("GET", path, answer=list[Token])

    async def revoke_token(self, token_id: str) -> None:
        """End an API token."""
        await self._ask("DELETE", f"/v1/api-tokens/{quote(token_id, safe='')}", answer=msgspec.Raw)

    async def change_password(self, *, present: str, new: str) -> None:
        """Replace the caller's own password."""
        body = {"current_password": present, "new_password": new}
        await self._ask("PUT", "/v1/me/password", answer=msgspec.Raw, body=body)

    async def list_users(self) -> list[User]:
        """Every user by name, for super-admins."""
        return await self._ask("GET", "/v1/users", answer=list[User])

    async def list_directory(self) -> list[User]:
        """Names of all users, for those who choose members."""
        return await self._ask("GET", "/v1/users/directory", answer=list[User])

    async def create_user(self, body: dict[str, Any]) -> User:
        """Make a user."""
        return await self._ask("POST", "/v1/users", answer=User, body=body)

    async def change_user(self, user_id: str, change: dict[str, Any]) -> User:
        """Replace a user's `password`, or say whether they are a super-admin (`is_super_admin`)."""
        return await self._ask("PATCH", f"/v1/users/{user_id}", answer=User, body=change)

    async def end_sessions_of(self, user_id: str) -> int:
        """Sign a user out everywhere; how many sessions that ended."""
        return (await self._ask("DELETE", f"/v1/users/{user_id}/sessions", answer=dict[str, int]))["revoked"]

    async def delete_user(self, user_id: str) -> None:
        """Remove a user with all that they sign in with."""
        await self._ask("DELETE", f"/v1/users/{user_id}", answer=msgspec.Raw)

    async def list_members(self, project_id: str) -> list[Member]:
        """The project's members."""
        return await self._ask("GET", f"/v1/projects/{project_id}/members", answer=list[Member])

    async def put_member(self, project_id: str, user_id: str, *, role: str) -> None:
        """Give a user a role in place of the one they had."""
        body = {"user_id": user_id, "role": role}
        await self._ask("POST", f"/v1/projects/{project_id}/members", answer=msgspec.Raw, body=body)

    async def remove_member(self, project_id: str, user_id: str) -> None:
        """Take a user's role."""
        await self._ask("DELETE", f"/v1/projects/{project_id}/members/{user_id}", answer=msgspec.Raw)

    async def list_projects(self) -> list[Project]:
        """The caller's projects by name."""
        return await self._ask("GET", "/v1/projects", answer=list[Project])

    async def list_services(self) -> list[Service]:
        """The services that the caller may see, by name."""
        return await self._ask("GET", "/v1/services", answer=list[Service])

    async def get_service(self, service_id: str) -> dict[str, Any]:
        """Everything that is configured of the service, to be changed and put back."""
        return await self._ask("GET", f"/v1/services/{service_id}", answer=dict[str, Any])

    async def put_service(self, config: dict[str, Any]) -> Service:
        """Create the service, or change the one of that project and name."""
        return await self._ask("POST", "/v1/services", answer=Service, body=config)

    async def delete_service(self, service_id: str) -> None:
        """Remove the service and all that belongs to it."""
        await self._ask("DELETE", f"/v1/services/{service_id}", answer=msgspec.Raw)

    async def list_domains(self, service_id: str) -> list[Domain]:
        """The service's hostnames."""
        return await self._ask("GET", f"/v1/services/{service_id}/domains", answer=list[Domain])

    async def attach_domain(self, service_id: str, hostname: str) -> Domain:
        """Give the service a hostname, which routes once it is verified."""
        return await self._ask("POST", f"/v1/services/{service_id}/domains", answer=Domain, body={"hostname": hostname})

    async def verify_domain(self, service_id: str, domain_id: str) -> Domain:
        """Have the hostname asked for its proof of ownership; the answer says what came of it."""
        path = f"/v1/services/{service_id}/domains/{domain_id}/verify"
        return await self._ask("POST", path, answer=Domain)

    async def detach_domain(self, service_id: str, domain_id: str) -> None:
        """Take the hostname from the service."""
        await self._send("DELETE", f"/v1/services/{service_id}/domains/{domain_id}")

    async def list_certificates(self) -> list[Certificate]:
        """How every host stands with its certificate, by hostname."""
        return await self._ask("GET", "/v1/certificates", answer=list[Certificate])

    async def list_registries(self, project_id: str) -> list[Registry]:
        """The registries that the project pulls from, by name."""
        return await self._ask("GET", f"/v1/projects/{project_id}/registries", answer=list[Registry])

    async def create_registry(self, project_id: str, body: dict[str, str]) -> Registry:
        """Keep a registry with what signs in to it."""
        return await self._ask("POST", f"/v1/projects/{project_id}/registries", answer=Registry, body=body)

    async def replace_registry(self, project_id: str, registry_id: str, body: dict[str, str]) -> Registry:
        """Replace a registry whole."""
        path = f"/v1/projects/{project_id}/registries/{registry_id}"
        return await self._ask("PUT", path, answer=Registry, body=body)

    async def delete_registry(self, project_id: str, registry_id: str) -> None:
        """Forget a registry and what signs in to it."""
        await self._ask("DELETE", f"/v1/projects/{project_id}/registries/{registry_id}", answer=msgspec.Raw)

    async def upload(self, service_id: str, archive: BinaryIO) -> Uploaded:
        """Stage a tar.zst as a build context."""
        return await self._ask(
            "POST",
            f"/v1/services/{service_id}/uploads",
            answer=Uploaded,
            data=archive,
            headers={"Content-Type": "application/zstd"},
            seconds=_UPLOAD_SECONDS,
        )

    async def deploy(self, request: dict[str, Any]) -> Deployment:
        """Begin a deployment; `request` is tagged by its `source`."""
        return await self._ask("POST", "/v1/deployments", answer=Deployment, body=request)

    async def get_deployment(self, deployment_id: str) -> Deployment:
        """Where the deployment stands."""
        return await self._ask("GET", f"/v1/deployments/{deployment_id}", answer=Deployment)

    async def cancel_deployment(self, deployment_id: str) -> Deployment:
        """Ask for the end of an unfinished deployment."""
        return await self._ask("POST", f"/v1/deployments/{deployment_id}/cancel", answer=Deployment)

    async def act(self, service_id: str, action: str) -> str | None:
        """Do `stop`, `start`, `restart` or `rollback` to a service; the deployment for it, if it takes one."""
        path = f"/v1/services/{service_id}/{action}"
        return (await self._ask("POST", path, answer=dict[str, str | None]))["deployment_id"]

    async def list_deployments(self, service_id: str, *, limit: int = 200) -> list[Deployment]:
        """The newest of the service's deployments, newest first."""
        path = f"/v1/services/{service_id}/deployments?limit={limit}"
        return await self._ask("GET", path, answer=list[Deployment])

    def follow_deployment(self, deployment_id: str, *, after: str | None = None) -> AsyncIterator[Event]:
        """The deployment's log from its first line, or behind the event `after`, ending with the event `done`."""
        return self._stream(f"/v1/deployments/{deployment_id}/logs/stream", after=after)

    async def list_git_credentials(self, project_id: str) -> list[GitCredential]:
        """The project's deploy keys and https sign-ins, by name."""
        return await self._ask("GET", f"/v1/projects/{project_id}/credentials/git", answer=list[GitCredential])

    async def add_git_credential(self, project_id: str, credential: dict[str, Any]) -> GitCredential:
        """Keep a credential; without `private_key` and `password` a key is made."""
        path = f"/v1/projects/{project_id}/credentials/git"
        return await self._ask("POST", path, answer=GitCredential, body=credential)

    async def delete_git_credential(self, project_id: str, name: str) -> None:
        """Forget a credential."""
        path = f"/v1/projects/{project_id}/credentials/git?name={quote(name, safe='')}"
        await self._ask("DELETE", path, answer=msgspec.Raw)

    def follow_logs(
        self, service_id: str, *, query: Sequence[tuple[str, str]] = (), after: str | None = None
    ) -> AsyncIterator[Event]:
        """The service's log: the lines that the query asks for, or those behind the event with the id `after`, then
        each as it comes, up to the event `end` where the query has `until`.
        """
        return self._stream(f"/v1/services/{service_id}/logs/stream?{urlencode(query)}", after=after)

    async def list_logs(self, service_id: str, query: Sequence[tuple[str, str]]) -> tuple[list[str], str]:
        """The last lines that the query asks for, and the names of the nodes whose lines are missing."""
        content, headers = await self._exchange("GET", f"/v1/services/{service_id}/logs?{urlencode(query)}")
        return self._read(content, list[str]), headers.get(_UNREACHABLE, "")

    async def export_logs(
        self, service_id: str, query: Sequence[tuple[str, str]], output: BinaryIO, *, unpack: bool
    ) -> str:
        """Write all lines that the query asks for to the output, as zstd unless `unpack`; the names of the nodes whose
        lines are missing. Raises Unreachable when not all of it came.
        """
        path = f"/v1/services/{service_id}/logs/export?{urlencode(query)}"
        return (await self._download(path, output, unpack=unpack)).get(_UNREACHABLE, "")

    async def list_jobs(self, project_id: str) -> list[Job]:
        """The project's jobs by name."""
        return await self._ask("GET", f"/v1/jobs?project_id={project_id}", answer=list[Job])

    async def create_job(self, config: dict[str, Any]) -> Job:
        """Create a job."""
        return await self._ask("POST", "/v1/jobs", answer=Job, body=config)

    async def replace_job(self, job_id: str, config: dict[str, Any]) -> Job:
        """Replace a job whole."""
        return await self._ask("PUT", f"/v1/jobs/{job_id}", answer=Job, body=config)

    async def delete_job(self, job_id: str) -> None:
        """Remove a job with its runs."""
        await self._ask("DELETE", f"/v1/jobs/{job_id}", answer=msgspec.Raw)

    async def run_job(self, job_id: str) -> JobRun:
        """Run the job now."""
        return await self._ask("POST", f"/v1/jobs/{job_id}/run", answer=JobRun)

    async def list_job_runs(self, job_id: str, *, limit: int = 50) -> list[JobRun]:
        """The job's newest runs, newest first."""
        return await self._ask("GET", f"/v1/jobs/{job_id}/runs?limit={limit}", answer=list[JobRun])

    async def get_job_run(self, job_id: str, run_id: str) -> JobRun:
        """How the run stands."""
        return await self._ask("GET", f"/v1/jobs/{job_id}/runs/{quote(run_id, safe='')}", answer=JobRun)

    async def cancel_job_run(self, job_id: str, run_id: str) -> JobRun:
        """End the run."""
        return await self._ask("POST", f"/v1/jobs/{job_id}/runs/{run_id}/cancel", answer=JobRun)

    def follow_job_run(
        self, job_id: str, run_id: str, *, query: Sequence[tuple[str, str]] = ()
    ) -> AsyncIterator[Event]:
        """The lines of the run's log that the query asks for, ending with the event `done`."""
        return self._stream(f"/v1/jobs/{job_id}/runs/{run_id}/logs/stream?{urlencode(query)}")

    async def make_console_ticket(self, service_id: str, asked: dict[str, Any]) -> ConsoleTicket:
        """A ticket for one connection to a console."""
        return await self._ask("POST", f"/v1/services/{service_id}/console/tickets", answer=ConsoleTicket, body=asked)

    async def connect_console(self, ticket: ConsoleTicket, *, tty: bool = True) -> aiohttp.ClientWebSocketResponse:
        """The console's WebSocket, which the caller closes; a new console has a terminal if `tty`."""
        return await self._connect(ticket.ws_path if tty else f"{ticket.ws_path}&tty=false")

    async def list_nodes(self) -> list[Node]:
        """Every node."""
        return await self._ask("GET", "/v1/nodes", answer=list[Node])

    async def get_node(self, node_id: str) -> Node:
        """One node with what is placed on it."""
        return await self._ask("GET", f"/v1/nodes/{node_id}", answer=Node)

    async def drain_node(self, node_id: str) -> Node:
        """Set the node aside: what runs there moves away."""
        return await self._ask("POST", f"/v1/nodes/{node_id}/drain", answer=Node)

    async def undrain_node(self, node_id: str) -> Node:
        """Take the node into use again."""
        return await self._ask("POST", f"/v1/nodes/{node_id}/undrain", answer=Node)

    async def label_node(self, node_id: str, labels: Mapping[str, str | None]) -> Node:
        """Set some of the node's labels; None takes one away."""
        return await self._ask("PATCH", f"/v1/nodes/{node_id}/labels", answer=Node, body={"labels": labels})

    async def delete_node(self, node_id: str, *, force: bool = False) -> None:
        """Remove the node; with replicas only by force."""
        path = f"/v1/nodes/{node_id}?force={'true' if force else 'false'}"
        await self._ask("DELETE", path, answer=msgspec.Raw)

    async def list_workloads(self) -> list[Workload]:
        """The services as they run, by name."""
        return await self._ask("GET", "/v1/workloads", answer=list[Workload])

    async def make_join_token(self, *, node_id: str | None = None) -> JoinTokenMade:
        """A single-use token with which a machine becomes a node, or again the node with that id."""
        return await self._ask("POST", "/v1/nodes/join-tokens", answer=JoinTokenMade, body={"node_id": node_id})

    async def list_audit(self, query: Mapping[str, str]) -> list[AuditRecord]:
        """Audit records, newest first; `query` names the filters of `GET /v1/audit`."""
        return await self._ask("GET", f"/v1/audit?{urlencode(query)}", answer=list[AuditRecord])
