"""The checks of the control daemon's host: each reads its facts and has the rules judge them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from controld.core.domain_faults import IssuerUnreachable
from controld.core.faults import SecretNotFound, SecretShut, SecretsUnusable, StoreUnavailable
from controld.gateways.acme import fetch_directory
from controld.parts.ground import AGE_KEY_FILE, SECRETS_FOLDER, make_database_url, make_secret_files
from controld.parts.nodes import AUTHORITY_FOLDER
from controld.parts.people import SETUP_SECRET_FILE
from controld.rules import doctor as rules
from controld.settings import Settings
from controld.store.checkup import Checkup
from kit import tls
from kit.clock import Clock
from kit.doctor import facts
from kit.doctor import rules as common
from kit.doctor.findings import Check, Finding, Verdict, blocking, ok, unknown

_CONTROLD: Final = ("moorage-controld", "-m controld")
_KEYS: Final = (
    f"{AUTHORITY_FOLDER}/authority.pem",
    f"{AUTHORITY_FOLDER}/controld.pem",
    AGE_KEY_FILE,
    SETUP_SECRET_FILE,
)


class ControlDoctor:
    """Looks at this machine as controld's host, beside a controld that runs or without one; nothing is changed."""

    def __init__(self, settings: Settings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._checkup = Checkup(make_database_url(settings))

    def checks(self) -> list[Check]:
        """Every check, from the ground up."""
        table: Mapping[str, Callable[[], Awaitable[Sequence[Finding]]]] = {
            "descriptors": blocking(self._look_at_descriptors),
            "disk": blocking(self._look_at_disk),
            "key files": blocking(self._look_at_keys),
            "database": self._look_at_database,
            "database file": self._look_for_damage,
            "ports": blocking(self._look_at_ports),
            "certificates": blocking(self._look_at_certificates),
            "certificate authority": self._look_at_issuer,
            "secrets": self._look_at_secrets,
            "nodes": self._look_at_nodes,
        }
        return [Check(name=name, look=look) for name, look in table.items()]

    def _look_at_descriptors(self) -> list[Finding]:
        running = self._find_controld()
        limit = facts.read_descriptor_limit(running)
        return [common.judge_descriptors(limit, whose="controld" if running else "a process started from here")]

    def _look_at_disk(self) -> list[Finding]:
        images = self._settings.registry_dir
        findings = [common.judge_room("disk of controld", facts.read_room(self._settings.data_dir))]
        if images is not None:
            findings.append(common.judge_room("disk of images", facts.read_room(images)))
        return findings

    def _look_at_keys(self) -> list[Finding]:
        folder = self._settings.data_dir
        if not folder.exists():
            return [ok("data folder", f"{folder} is not there yet: the first start makes it")]
        told = folder.stat()
        findings = [
            common.judge_private_file("data folder", str(folder), mode=told.st_mode, uid=told.st_uid, owner=told.st_uid)
        ]
        for name in _KEYS:
            file = folder / name
            if file.exists():
                stat = file.stat()
                findings.append(
                    common.judge_private_file(name, str(file), mode=stat.st_mode, uid=stat.st_uid, owner=told.st_uid)
                )
        return findings

    async def _look_at_database(self) -> list[Finding]:
        if not await self._has_database():
            return [ok("database", f"{self._checkup.file} is not there yet: the first start makes it")]
        try:
            schema = await self._checkup.read_schema()
        except StoreUnavailable as fault:
            return [
                Finding(
                    check="database",
                    verdict=Verdict.FAIL,
                    found=fault.message,
                    means="controld answers nothing that it does not hold in memory",
                    mend="see whether the database runs and whether database_url names it",
                )
            ]
        return [rules.judge_schema(revision=schema.revision, head=schema.head)]

    async def _look_for_damage(self) -> list[Finding]:
        if not self._checkup.is_sqlite or not await self._has_database():
            return []
        return [rules.judge_damage(await self._checkup.find_damage())]

    def _look_at_ports(self) -> list[Finding]:
        running = self._find_controld() is not None
        wanted = ((self._settings.listen_port, "people and programs"), (self._settings.node_listen_port, "nodes"))
        holders = facts.read_holders({port for port, _ in wanted if port})
        return [
            common.judge_port(port, purpose=purpose, holders=holders[port], ours=_CONTROLD, needed=running)
            for port, purpose in wanted
            if port
        ]

    def _look_at_certificates(self) -> list[Finding]:
        folder = self._settings.data_dir / AUTHORITY_FOLDER
        files = {"authority": folder / "authority.pem", "own certificate": folder / "controld.pem"}
        if not any(file.exists() for file in files.values()):
            return [ok("authority", "none yet: the first start makes it")]
        return [self._judge_certificate(check, file) for check, file in files.items()]

    def _judge_certificate(self, check: str, file: Path) -> Finding:
        try:
            told = tls.parse_certificate(file.read_text())
        except (FileNotFoundError, tls.BadCertificate) as error:
            return Finding(
                check=check,
                verdict=Verdict.FAIL,
                found=f"cannot use {file}: {error}",
                means="no node can reach controld",
                mend=f"put {file} back from a backup",
            )
        except PermissionError:
            return unknown(check, f"this user may not read {file}", mend="run the doctor as root")
        return common.judge_certificate(
            check,
            subject="it",
            not_after_at=told.not_after_at,
            renew_at=None if check == "authority" else told.renew_at(),
            now=self._clock.now(),
            mend="see why renewal fails: journalctl -u moorage-controld",
        )

    async def _look_at_issuer(self) -> list[Finding]:
        settings = self._settings
        if settings.acme_email is None:
            return [ok("certificate authority", "not asked for certificates: acme_email is not set")]
        try:
            await fetch_directory(settings.acme_directory_url, ca_file=settings.acme_ca_file)
        except IssuerUnreachable as fault:
            return [rules.judge_issuer(settings.acme_directory_url, fault=fault.message)]
        return [rules.judge_issuer(settings.acme_directory_url, fault=None)]

    async def _look_at_secrets(self) -> list[Finding]:
        folder = self._settings.data_dir / SECRETS_FOLDER
        documents = await asyncio.to_thread(lambda: sorted(folder.glob("*/*.json")))
        if not documents:
            return [ok("secrets", "none kept yet")]
        files = make_secret_files(self._settings, clock=self._clock, may_make_key=False)
        try:
            await files.open()
        except SecretsUnusable as fault:
            return [rules.judge_secrets({str(folder): fault.message}, count=len(documents))]
        shut: dict[str, str] = {}
        for document in documents:
            try:
                await files.get(document.parent.name, document.stem)
            except (SecretShut, SecretNotFound) as fault:
                shut[f"{document.parent.name}/{document.stem}"] = fault.message
        return [rules.judge_secrets(shut, count=len(documents))]

    async def _look_at_nodes(self) -> list[Finding]:
        if not await self._has_database() or (await self._checkup.read_schema()).revision is None:
            return []
        heard = [(node.name, node.state, node.heard_at) for node in await self._checkup.list_heard()]
        running = await asyncio.to_thread(self._find_controld) is not None
        return rules.judge_nodes(heard, now=self._clock.now(), running=running)

    async def _has_database(self) -> bool:
        file = self._checkup.file
        return file is None or await asyncio.to_thread(file.exists)

    def _find_controld(self) -> int | None:
        return facts.find_daemon("moorage-controld", package="controld", other_words=("doctor",))
