"""Plans an install and an uninstall: from what a machine has, and what is asked, to the steps. Nothing is touched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scripts.host.facts import Engine, Facts
from scripts.host.places import UNITS, Places
from scripts.host.release import COMMANDS, Release, Role
from scripts.host.steps import (
    Await,
    Command,
    Copy,
    DropContainers,
    File,
    Folder,
    Link,
    Note,
    Remove,
    RemoveEmpty,
    Step,
)

_COMMAND: Final = """#!{release}/venv/bin/python -I
import sys

sys.path.insert(0, "{release}/lib")
from {package}.__main__ import main

sys.exit(main())
"""
_LISTEN_PORTS: Final = {Role.CONTROLD: 7180, Role.AGENT: 7190}
_HAPROXY: Final = "moorage-haproxy.service"
_START_SECONDS: Final = 120.0


class CannotInstall(Exception):
    """The machine is in a state that an operator has to mend first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the operator asked: wheels from a folder, a join token at hand, settings for a new settings file."""

    wheels: Path | None = None
    has_token: bool = False
    fresh_haproxy: bool = False
    """HAProxy's package came with this install, so that its own unit serves nobody."""
    settings: Mapping[str, str] = field(default_factory=dict)


def plan_install(
    release: Release, facts: Facts, wish: Wish, *, places: Places, read_template: Callable[[str], str]
) -> tuple[Step, ...]:
    """The steps from the facts to a role that runs this release; raises CannotInstall ahead of the first."""
    install = _Install(release=release, facts=facts, wish=wish, places=places, read_template=read_template)
    return tuple(install.steps())


def plan_uninstall(role: Role, facts: Facts, *, places: Places, purge: bool) -> tuple[Step, ...]:
    """The steps that take a role off the machine; without `purge` its settings and state stay."""
    return tuple(_plan_uninstall(role, facts, places, purge=purge))


def merge_live_restore(text: str | None, engine: Engine, *, path: Path) -> str | None:
    """The engine's settings with `live-restore` on, so that containers outlive the engine; None: nothing to change.

    What the operator decided stays, and a swarm, which cannot have it, is left alone. Raises CannotInstall for text
    that is no JSON object.
    """
    try:
        settings = json.loads(text) if text and text.strip() else {}
    except ValueError as error:
        raise CannotInstall(f"cannot read {path}: {error}") from error
    if not isinstance(settings, dict):
        raise CannotInstall(f"cannot read {path}: it is not a JSON object")
    if "live-restore" in settings or engine.live_restore or engine.swarm:
        return None
    return json.dumps({**settings, "live-restore": True}, indent=2) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Install:
    release: Release
    facts: Facts
    wish: Wish
    places: Places
    read_template: Callable[[str], str]

    @property
    def role(self) -> Role:
        return self.release.role

    def steps(self) -> Iterator[Step]:
        yield from self._node_host() if self.role is Role.AGENT else self._control_host()
        yield from self._code()
        yield from self._settings()
        yield from self._units()
        yield from self._switch()
        yield from self._start()
        yield from self._prune()
        yield from self._words()

    def _control_host(self) -> Iterator[Step]:
        yield File(path=self.places.sysusers, text=self.read_template("sysusers.conf"))
        yield Command(arguments=("systemd-sysusers", str(self.places.sysusers)))

    def _node_host(self) -> Iterator[Step]:
        engine, path = self.facts.engine, self.places.engine_settings
        merged = merge_live_restore(self.facts.engine_settings, engine, path=path)
        if merged is not None:
            yield Folder(path=path.parent)
            yield File(path=path, text=merged)
            if engine.answers:
                yield Command(arguments=("systemctl", "reload", "docker.service"))
        yield Command(arguments=("systemctl", "enable", "-q", "--now", "docker.service"))
        if self.wish.fresh_haproxy:
            yield Command(arguments=("systemctl", "disable", "-q", "--now", "haproxy.service"), may_fail=True)
        yield File(path=self.places.sysctl, text=self.read_template("sysctl.conf"))
        yield Command(arguments=("sysctl", "-q", "-p", str(self.places.sysctl)))

    def _code(self) -> Iterator[Step]:
        if self.release.name in self.facts.releases:
            return
        folder = self.places.release(self.role, self.release.name)
        python, wheels = str(folder / "venv/bin/python"), self.wish.wheels
        source = ("--no-index", "--find-links", str(wheels)) if wheels else ("--retries", "5")
        pip = (python, "-I", "-m", "pip", "--disable-pip-version-check", "install", "--no-input", "-q", *source)
        yield Remove(path=folder)
        yield Folder(path=folder)
        yield Copy(root=self.release.root, names=self.release.files, folder=folder / "lib")
        yield Command(arguments=(self.facts.python, "-I", "-m", "venv", str(folder / "venv")))
        yield Command(arguments=(*pip, "--only-binary", ":all:", "--require-hashes", "-r", str(self.release.lock)))
        yield Command(arguments=(python, "-I", "-m", "compileall", "-q", str(folder / "lib")))
        yield Folder(path=folder / "bin")
        for command, package in COMMANDS[self.role].items():
            text = _COMMAND.format(release=folder, package=package)
            yield File(path=folder / "bin" / command, text=text, mode=0o755)
        yield File(path=folder / "complete", text=self.release.name + "\n")

    def _settings(self) -> Iterator[Step]:
        path, chosen = self.places.settings_file(self.role), self.wish.settings
        if self.facts.has_settings:
            if chosen:
                yield Note(words=f"{path} stays as it is: set {', '.join(chosen)} there")
            return
        text = self.read_template(f"{self.role}.toml")
        text += "".join(f"{name} = {json.dumps(value)}\n" for name, value in chosen.items())
        yield Folder(path=self.places.settings)
        yield File(path=path, text=text, mode=0o640, group="moorage" if self.role is Role.CONTROLD else None)

    def _units(self) -> Iterator[Step]:
        changed = [unit for unit in UNITS[self.role] if self._unit_changed(unit)]
        for unit in changed:
            yield File(path=self.places.units / unit, text=self.read_template(unit))
        if changed:
            yield Command(arguments=("systemctl", "daemon-reload"))
        if self.facts.current is not None and _HAPROXY in changed:
            yield Note(words=f"{_HAPROXY} has changed; it takes effect when that unit is restarted next")

    def _switch(self) -> Iterator[Step]:
        current = self.places.current(self.role)
        if self.facts.current != self.release.name:
            yield Link(path=current, target=Path(self.release.name))
        for command in COMMANDS[self.role]:
            yield Link(path=self.places.commands / command, target=current / "bin" / command)

    def _start(self) -> Iterator[Step]:
        daemon, settings = f"moorage-{self.role}.service", self.places.settings_file(self.role)
        yield Command(arguments=("systemctl", "enable", "-q", *UNITS[self.role]))
        if self.role is Role.AGENT:
            # HAProxy that runs is never restarted by an install: the agent reloads it when its base file changes.
            yield Command(arguments=("systemctl", "start", _HAPROXY))
            if self.facts.node_id is None:
                if not self.wish.has_token:
                    return
                join = (str(self.places.commands / "moorage-agent"), "join", "--config", str(settings))
                yield Command(arguments=(*join, "--token-file", "-"), token=True)
        same = self.facts.running == self.release.name and not self._unit_changed(daemon)
        yield Command(arguments=("systemctl", "start" if same else "restart", daemon))
        yield Await(
            unit=daemon,
            settings=settings,
            port_setting="listen_port",
            default_port=_LISTEN_PORTS[self.role],
            seconds=_START_SECONDS,
        )

    def _prune(self) -> Iterator[Step]:
        if self.facts.current == self.release.name:
            return  # the release before stays, to go back to, until another comes
        for name in self.facts.releases:
            if name not in {self.release.name, self.facts.current}:
                yield Remove(path=self.places.release(self.role, name))

    def _words(self) -> Iterator[Step]:
        name = self.release.name
        if self.role is Role.CONTROLD:
            secret = self.places.state / "controld/setup-secret"
            yield Note(words=f"controld {name} runs; the secret that makes its first admin is in {secret}")
        elif self.facts.node_id is not None:
            unused = "; it was one before, so the join token was not used" if self.wish.has_token else ""
            yield Note(words=f"agent {name} runs; this machine is node {self.facts.node_id}{unused}")
        elif self.wish.has_token:
            yield Note(words=f"agent {name} runs; this machine is a node")
        else:
            yield Note(words=f"agent {name} waits: enrol this machine with scripts/install agent --join TOKEN")

    def _unit_changed(self, unit: str) -> bool:
        return self.facts.units.get(unit) != self.read_template(unit)


def _plan_uninstall(role: Role, facts: Facts, places: Places, *, purge: bool) -> Iterator[Step]:
    present = [unit for unit in reversed(UNITS[role]) if facts.units.get(unit) is not None]
    if present:
        yield Command(arguments=("systemctl", "disable", "-q", "--now", *present))
    if role is Role.AGENT and facts.node_id is not None:
        yield DropContainers(node_id=facts.node_id, purge=purge)
    for unit in UNITS[role]:
        yield Remove(path=places.units / unit)
    yield Command(arguments=("systemctl", "daemon-reload"))
    for command in COMMANDS[role]:
        yield Remove(path=places.commands / command)
    yield Remove(path=places.role_code(role))
    yield RemoveEmpty(path=places.code)
    if role is Role.AGENT:
        yield Remove(path=places.sysctl)
        yield Remove(path=places.run)
    state = [places.state / "agent", places.state / "haproxy"] if role is Role.AGENT else [places.state / "controld"]
    if not purge:
        kept = ", ".join(map(str, (places.settings_file(role), *state)))
        yield Note(words=f"kept: {kept}; --purge removes them too")
        return
    for path in (*state, places.settings_file(role)):
        yield Remove(path=path)
    yield RemoveEmpty(path=places.state)
    yield RemoveEmpty(path=places.settings)
    if role is Role.CONTROLD:
        yield Remove(path=places.sysusers)
        yield Command(arguments=("userdel", "moorage"), may_fail=True)
