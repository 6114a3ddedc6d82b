"""The command line: `moorage login`, `services`, `push`, `logs` and the rest."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from client import commands, domains, nodes
from client.actions import ACTIONS, add_actions, run_action
from client.audit import AuditFilter, show_audit
from client.config import default_path
from client.console import open_console
from client.git import Repository, add_key, deploy, remove_key, show_keys
from client.jobs import cancel_run, follow_run, put_job, run_job, show_jobs, show_runs
from client.logs import LogWords, add_logs, add_words, run_logs
from client.people_arguments import COMMANDS, add_people, run_people
from client.projects import show_projects
from client.registries import log_in_to_registry, show_registries
from kit.faults import Fault
from wire.version import RELEASE

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
EXIT_UNREAD = 141
"""What a shell says of a program whose reader has left, such as `head`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the status is 0, or 1 for whatever did not work."""
    options = _parse(arguments)
    try:
        status = asyncio.run(_run(options))
        print(end="", flush=True)
        return status
    except BrokenPipeError:
        # What is left in the buffer is written when the interpreter ends, and has to go somewhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        return EXIT_UNREAD
    except (Fault, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


async def _run(options: argparse.Namespace) -> int:
    succeeded = True
    match options.command:
        case "login":
            await commands.log_in(
                options.config, url=options.url, username=options.username, use_token=options.with_token
            )
        case "services":
            await commands.show_services(options.config)
        case "projects":
            await show_projects(options.config)
        case "deployments":
            await commands.show_deployments(options.config, options.service)
        case "push":
            succeeded = await commands.push(
                options.config, options.service, folder=options.folder, dockerfile=options.dockerfile
            )
        case "deploy":
            names = (field.name for field in dataclasses.fields(Repository))
            repository = Repository(**{name: getattr(options, name) for name in names})
            succeeded = await deploy(options.config, options.service, repository)
        case "deploy-keys":
            await _keep_keys(options)
        case "redeploy":
            succeeded = await commands.redeploy(options.config, options.service)
        case "audit":
            names = (field.name for field in dataclasses.fields(AuditFilter))
            await show_audit(options.config, AuditFilter(**{name: getattr(options, name) for name in names}))
        case "jobs":
            succeeded = await _keep_jobs(options)
        case "domains":
            succeeded = await _keep_domains(options)
        case "console":
            return await open_console(options.config, options.service, replica=options.replica, tty=options.tty)
        case "registries":
            await show_registries(options.config, options.project)
        case "registry-login":
            await log_in_to_registry(
                options.config,
                options.project,
                name=options.name,
                endpoint=options.endpoint,
                auth_kind=options.kind,
                username=options.username,
            )
        case command if command in ACTIONS:
            succeeded = await run_action(options)
        case command if command in COMMANDS:
            await run_people(options)
        case "nodes":
            await nodes.show_nodes(options.config)
        case "join-token":
            await nodes.make_join_token(options.config, options.node)
        case "drain":
            await nodes.drain_node(options.config, options.node)
        case "undrain":
            await nodes.undrain_node(options.config, options.node)
        case "label":
            await nodes.label_node(options.config, options.node, options.labels)
        case "scale":
            await nodes.scale_service(options.config, options.service, options.replicas)
        case _:
            await run_logs(options)
    return 0 if succeeded else EXIT_FAILED


async def _keep_keys(options: argparse.Namespace) -> None:
    match options.what:
        case "add":
            await add_key(
                options.config,
                options.project,
                name=options.name,
                key_file=options.key_file,
                known_hosts=options.known_hosts,
                username=options.username,
            )
        case "remove":
            await remove_key(options.config, options.project, name=options.name)
        case _:
            await show_keys(options.config, options.project)


async def _keep_domains(options: argparse.Namespace) -> bool:
    match options.what:
        case "add":
            return await domains.add_domain(options.config, options.service, hostname=options.hostname)
        case "verify":
            return await domains.verify_domain(options.config, options.service, hostname=options.hostname)
        case "remove":
            await domains.remove_domain(options.config, options.service, hostname=options.hostname)
        case _:
            await domains.show_domains(options.config, options.service)
    return True


async def _keep_jobs(options: argparse.Namespace) -> bool:
    match options.what:
        case "put":
            await put_job(options.config, options.project, options.file)
        case "runs":
            await show_runs(options.config, options.job, limit=options.limit)
        case "run":
            return await run_job(options.config, options.job)
        case "logs":
            return await follow_run(options.config, options.job, options.run, words=LogWords.of(options))
        case "cancel":
            await cancel_run(options.config, options.job, options.run)
        case _:
            await show_jobs(options.config, options.project)
    return True


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="moorage", description="Speak to a Moorage control daemon.")
    parser.add_argument("--version", action="version", version=RELEASE)
    parser.add_argument("--config", type=Path, default=default_path(), help="file that holds the login")
    commands_ = parser.add_subparsers(dest="command", required=True)
    login = commands_.add_parser("login", help="log in; the password or token is asked for, or read from a pipe")
    login.add_argument("url", help="where controld is, such as http://127.0.0.1:7180")
    login.add_argument("--username", default="admin")
    login.add_argument("--with-token", action="store_true", help="take an API token instead of a password")
    commands_.add_parser("projects", help="list projects")
    commands_.add_parser("services", help="list services, how they stand and where they are")
    _service(commands_.add_parser("deployments", help="list a service's deployments, newest first"))
    push = _service(commands_.add_parser("push", help="build and deploy a folder that has a Dockerfile"))
    push.add_argument("folder", type=Path, nargs="?", default=Path())
    push.add_argument("--dockerfile", default="Dockerfile", help="its path in the folder")
    _deploy(_service(commands_.add_parser("deploy", help="deploy what the service's source names")))
    _deploy_keys(commands_.add_parser("deploy-keys", help="what opens a project's private repositories"))
    _service(commands_.add_parser("redeploy", help="deploy what runs once more"))
    add_actions(commands_)
    console = _service(commands_.add_parser("console", help="open a shell in a replica; its status is the shell's"))
    console.add_argument("--replica", type=int, default=0, metavar="N", help="which one, counted from 0")
    console.add_argument(
        "--no-tty", dest="tty", action="store_false", help="pipes instead of a terminal: output comes as it is"
    )
    add_logs(_service(commands_.add_parser("logs", help="print a service's log, follow it, or write it to a file")))
    _audit(commands_.add_parser("audit", help="list who changed what, and who was refused, newest first"))
    _jobs(commands_.add_parser("jobs", help="what runs on a schedule or when asked, and how it went"))
    _domains(commands_.add_parser("domains", help="a service's hostnames, and their certificates"))
    _registries(commands_)
    _nodes(commands_)
    add_people(commands_)
    return parser.parse_args(arguments)


def _registries(commands_: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    listed = commands_.add_parser("registries", help="list the registries that a project pulls from")
    kept = commands_.add_parser(
        "registry-login", help="keep a registry; its password or token is asked for, or read from a pipe"
    )
    for parser in (listed, kept):
        parser.add_argument("project", help="its name or id")
    kept.add_argument("name", help="how the project calls it")
    kept.add_argument("endpoint", help="its host, such as ghcr.io")
    kept.add_argument(
        "--kind", choices=("anonymous", "basic", "token", "ecr_token", "gar_token"), default="basic", help="%(default)s"
    )
    kept.add_argument("--username", help="for the kind basic")


def _deploy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--git", dest="url", metavar="URL", help="let this repository be the service's source first")
    parser.add_argument("--ref", help="branch, tag or commit to build (default: the stored one)")
    parser.add_argument("--dockerfile", help="its path in the repository")
    parser.add_argument("--context", help="the folder in the repository that is built")
    parser.add_argument("--key", metavar="NAME", help="the deploy key or https sign-in that opens the repository")


def _deploy_keys(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True)
    for word, sentence in (
        ("list", "list a project's deploy keys and https sign-ins"),
        ("add", "make a deploy key and print its public half, or keep one that is given"),
        ("remove", "forget one"),
    ):
        each = what.add_parser(word, help=sentence)
        each.add_argument("project", help="its name or id")
        if word != "list":
            each.add_argument("--name", default="default")
        if word == "add":
            each.add_argument("--key-file", type=Path, help="a private key without a passphrase, in place of a new one")
            each.add_argument("--known-hosts", type=Path, help="a file of host keys to trust with this key")
            each.add_argument("--username", help="for https: the password or token is asked for, or read from a pipe")


def _jobs(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True)
    listed = what.add_parser("list", help="list jobs, when they run next and how they went")
    listed.add_argument("project", nargs="?", help="its name or id; without it: all that you may see")
    put = what.add_parser("put", help="create a job from a JSON file, or replace the project's one of that name")
    put.add_argument("project", help="its name or id")
    put.add_argument("file", type=Path, help="the body of POST /v1/jobs")
    for word, sentence in (
        ("runs", "list a job's runs, newest first"),
        ("run", "run a job now and follow it to its end"),
        ("logs", "print the log of a run and follow it"),
        ("cancel", "end a run"),
    ):
        each = what.add_parser(word, help=sentence)
        each.add_argument("job", help="its name, project/name, or id")
        if word in {"logs", "cancel"}:
            each.add_argument("run", nargs="?", help="its id (default: the newest run)")
        if word == "logs":
            add_words(each)
        if word == "runs":
            each.add_argument("--limit", type=int, default=20, help="most runs, up to 1000 (default: %(default)s)")


def _domains(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True)
    for word, sentence in (
        ("list", "list hostnames, how they stand, and until when their certificates are good"),
        ("add", "attach a hostname that points at a node, and verify it"),
        ("verify", "verify a hostname that is attached"),
        ("remove", "detach a hostname"),
    ):
        each = _service(what.add_parser(word, help=sentence))
        if word != "list":
            each.add_argument("hostname", help="such as www.example.com")


def _nodes(commands_: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    commands_.add_parser("nodes", help="list nodes, how they stand and when they were last heard")
    joined = commands_.add_parser("join-token", help="make a word with which one machine becomes a node")
    joined.add_argument("--node", metavar="NODE", help="the machine becomes this node again: its name or id")
    drained = commands_.add_parser("drain", help="set a node aside: what runs there moves to others")
    undrained = commands_.add_parser("undrain", help="take a node into use again")
    labelled = commands_.add_parser("label", help="set labels of a node, which placement goes by")
    for parser in (drained, undrained, labelled):
        parser.add_argument("node", help="its name or id")
    labelled.add_argument("labels", nargs="+", metavar="NAME=VALUE", help="NAME- takes one away")
    scaled = _service(commands_.add_parser("scale", help="let a service run so many replicas"))
    scaled.add_argument("replicas", type=int)


def _audit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", help="its name or id; without it: all that you administer")
    parser.add_argument("--actor", help="name or id of who did it")
    parser.add_argument("--action", help="such as service.create, or service for all that begins so")
    parser.add_argument("--object", dest="object_id", help="id of what it was done to")
    parser.add_argument("--outcome", choices=("done", "refused"))
    parser.add_argument("--since", metavar="WHEN", help="from then on: such as 15m, 2h, 1d or 2026-11-22T08:00:00Z")
    parser.add_argument("--until", metavar="WHEN", help="ahead of that moment")
    parser.add_argument("--limit", type=int, default=50, help="most records, up to 1000 (default: %(default)s)")


def _service(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("service", help="its name, project/name, or id")
    return parser


if __name__ == "__main__":
    sys.exit(main())
