"""`moorage stop`, `start`, `restart`, `rollback` and `cancel`: what is done to a service that runs, or should."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from client.api import Api
from client.commands import follow_deployment
from client.messages import Deployment, Service
from client.opening import open_api
from client.services import find_service
from kit.faults import Invalid, NotFound

_SENTENCES: Final = {
    "stop": "stop a service; what it would run is kept",
    "start": "start a service that was stopped, and follow the deployment",
    "restart": "replace a service's replicas by new ones of the same, and follow the deployment",
    "rollback": "go back to what ran before, or in that deployment, and follow the deployment",
    "cancel": "end a service's newest deployment, or that one; the one before it goes on serving",
}
ACTIONS: Final = frozenset(_SENTENCES)
"""The commands that `run_action` runs."""


class NoSuchDeployment(NotFound):
    """No deployment of the service has that id, or it has none at all."""

    code = "no_such_deployment"


def add_actions(commands_: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands with their arguments."""
    for word, sentence in _SENTENCES.items():
        parser = commands_.add_parser(word, help=sentence)
        parser.add_argument("service", help="its name, project/name, or id")
        if word in {"rollback", "cancel"}:
            parser.add_argument("deployment", nargs="?", help="its id, as `moorage deployments` lists it")


async def run_action(options: argparse.Namespace) -> bool:
    """Do what was asked for; False when a deployment that came of it did not become healthy."""
    config: Path = options.config
    async with open_api(config) as api:
        service = await find_service(api, options.service)
        match options.command:
            case "cancel":
                return await _cancel(api, service, options.deployment)
            case "rollback" if options.deployment is not None:
                return await follow_deployment(api, await _run_again(api, service, options.deployment))
            case action:
                begun = await api.act(service.id, action)
        if begun is None:
            print(f"{service.name} {'is being stopped' if action == 'stop' else 'runs already'}")
            return True
        return await follow_deployment(api, await api.get_deployment(begun))


async def _cancel(api: Api, service: Service, deployment_id: str | None) -> bool:
    deployment = await api.cancel_deployment((await _find(api, service, deployment_id)).id)
    print(f"{deployment.id} is being cancelled")
    return True


async def _run_again(api: Api, service: Service, deployment_id: str) -> Deployment:
    artifact = (await _find(api, service, deployment_id)).artifact
    if artifact is None:
        raise Invalid(f"cannot go back to {deployment_id}: it never came to have an image")
    return await api.deploy({"source": "redeploy", "service_id": service.id, "artifact_id": artifact.id})


async def _find(api: Api, service: Service, deployment_id: str | None) -> Deployment:
    for deployment in await api.list_deployments(service.id):
        if deployment_id in {None, deployment.id}:
            return deployment
    which = "any deployment" if deployment_id is None else f"the deployment {deployment_id}"
    raise NoSuchDeployment(f"cannot find {which} of {service.name}: `moorage deployments {service.name}` lists them")
