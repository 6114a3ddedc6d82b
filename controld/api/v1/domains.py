"""Hostnames of services, and the proofs of their ownership."""

from __future__ import annotations

from controld.api.v1.shapes_domain import DomainAsked, ServiceDomainShape, render_domain
from controld.core.domain_faults import ChallengeNotFound, DomainNotFound, VerificationBusy
from controld.core.domains import Domains
from controld.core.faults import HostnameTaken, ServiceNotFound
from kit.faults import Forbidden, Invalid
from kit.http.surface import PUBLIC, Answer, Ask, Route

_PATH = "/v1/services/{service_id}/domains"


def routes(domains: Domains) -> tuple[Route, ...]:
    """The rows of this file."""

    async def list_domains(ask: Ask) -> list[ServiceDomainShape]:
        return [render_domain(each) for each in await domains.list(ask.caller, ask.path["service_id"])]

    async def attach_domain(ask: Ask) -> ServiceDomainShape:
        name = ask.body.hostname.strip()
        return render_domain(await domains.attach(ask.caller, ask.path["service_id"], name=name))

    async def get_domain(ask: Ask) -> ServiceDomainShape:
        found = await domains.get(ask.caller, ask.path["service_id"], domain_id=ask.path["domain_id"])
        return render_domain(found)

    async def verify_domain(ask: Ask) -> ServiceDomainShape:
        checked = await domains.verify(ask.caller, ask.path["service_id"], domain_id=ask.path["domain_id"])
        return render_domain(checked)

    async def detach_domain(ask: Ask) -> Answer:
        await domains.detach(ask.caller, ask.path["service_id"], domain_id=ask.path["domain_id"])
        return Answer(204)

    async def answer_challenge(ask: Ask) -> Answer:
        host = ask.request.host.partition(":")[0]
        proof = await domains.answer_challenge(ask.path["token"], host=host)
        return Answer(200, proof.encode(), {"Content-Type": "text/plain"})

    return (
        Route(
            method="GET",
            path=_PATH,
            access="viewer",
            handler=list_domains,
            summary="The service's hostnames, oldest first",
            answer=list[ServiceDomainShape],
            faults=(ServiceNotFound,),
        ),
        Route(
            method="POST",
            path=_PATH,
            access="operator",
            handler=attach_domain,
            summary="Attach a hostname, which routes once it is verified",
            body=DomainAsked,
            answer=ServiceDomainShape,
            status=201,
            faults=(Invalid, Forbidden, ServiceNotFound, HostnameTaken),
        ),
        Route(
            method="GET",
            path=f"{_PATH}/{{domain_id}}",
            access="viewer",
            handler=get_domain,
            summary="One hostname of the service",
            answer=ServiceDomainShape,
            faults=(ServiceNotFound, DomainNotFound),
        ),
        Route(
            method="POST",
            path=f"{_PATH}/{{domain_id}}/verify",
            access="operator",
            handler=verify_domain,
            summary="Ask the hostname for its proof of ownership; the answer says what came of it",
            answer=ServiceDomainShape,
            faults=(Forbidden, ServiceNotFound, DomainNotFound, HostnameTaken, VerificationBusy),
        ),
        Route(
            method="DELETE",
            path=f"{_PATH}/{{domain_id}}",
            access="operator",
            handler=detach_domain,
            summary="Detach a hostname, which routes no more",
            status=204,
            faults=(Forbidden, ServiceNotFound, DomainNotFound, HostnameTaken),
        ),
        Route(
            method="GET",
            path="/.well-known/denia-challenge/{token}",
            access=PUBLIC,
            handler=answer_challenge,
            summary="The proof of a hostname's ownership, at that hostname alone",
            content="text/plain",
            faults=(ChallengeNotFound,),
            throttled=False,
        ),
    )
