"""`moorage domains`: the hostnames of a service, and how they stand with their certificates."""

from __future__ import annotations

from pathlib import Path

from client.api import Api
from client.messages import CertificateState, Domain, Service
from client.opening import open_api
from client.services import find_service
from kit.faults import NotFound

CHALLENGE_PATH = "/.well-known/denia-challenge/"


class NoSuchDomain(NotFound):
    """The service has no such hostname."""

    code = "no_such_domain"


async def show_domains(config: Path, name: str) -> None:
    """A line for each hostname: it, its status, its certificate, and what went wrong last."""
    async with open_api(config) as api:
        for domain in await api.list_domains((await find_service(api, name)).id):
            print(_tell(domain))


async def add_domain(config: Path, name: str, *, hostname: str) -> bool:
    """Attach a hostname and try to verify it at once; False when that failed, with what to do then."""
    async with open_api(config) as api:
        service = await find_service(api, name)
        return await _verify(api, service, await api.attach_domain(service.id, hostname))


async def verify_domain(config: Path, name: str, *, hostname: str) -> bool:
    """Verify a hostname that is attached; False when that failed."""
    async with open_api(config) as api:
        service = await find_service(api, name)
        return await _verify(api, service, await _find(api, service, hostname))


async def remove_domain(config: Path, name: str, *, hostname: str) -> None:
    """Detach a hostname."""
    async with open_api(config) as api:
        service = await find_service(api, name)
        await api.detach_domain(service.id, (await _find(api, service, hostname)).id)
        print(f"{hostname} leads to {service.name} no more")


async def _verify(api: Api, service: Service, domain: Domain) -> bool:
    checked = await api.verify_domain(service.id, domain.id)
    print(_tell(checked))
    if checked.status == "verified":
        return True
    print(
        f"point {checked.hostname} at a node, so that http://{checked.hostname}{CHALLENGE_PATH}"
        f"{checked.challenge_token} answers with the token; then: moorage domains verify"
    )
    return False


async def _find(api: Api, service: Service, hostname: str) -> Domain:
    for domain in await api.list_domains(service.id):
        if hostname in {domain.hostname, domain.id}:
            return domain
    raise NoSuchDomain(f"cannot find {hostname}: `moorage domains list {service.name}` lists what the service has")


def _tell(domain: Domain) -> str:
    return f"{domain.hostname}\t{domain.status}\t{_tell_certificate(domain.certificate)}\t{_tell_error(domain)}"


def _tell_certificate(certificate: CertificateState | None) -> str:
    if certificate is None:
        return "-"
    until = "" if certificate.expires_at is None else f" until {certificate.expires_at:%Y-%m-%d}"
    again = "" if certificate.next_try_at is None else f", next try {certificate.next_try_at:%Y-%m-%d %H:%M}"
    return f"{certificate.status}{until}{again}"


def _tell_error(domain: Domain) -> str:
    errors = [domain.last_error, domain.certificate.last_error if domain.certificate is not None else None]
    return "; ".join(error for error in errors if error)
