"""Certificates of all hosts, and what their authority asks for."""

from __future__ import annotations

from controld.api.v1.shapes_domain import CertificateShape, render_certificate
from controld.core.certificates import Certificates
from controld.core.domain_faults import ChallengeNotFound
from kit.faults import Forbidden
from kit.http.surface import PUBLIC, Answer, Ask, Route


def routes(certificates: Certificates) -> tuple[Route, ...]:
    """The rows of this file."""

    async def list_certificates(ask: Ask) -> list[CertificateShape]:
        return [render_certificate(each) for each in await certificates.list(ask.caller)]

    async def answer_challenge(ask: Ask) -> Answer:
        proof = await certificates.answer_challenge(ask.path["token"])
        return Answer(200, proof.encode(), {"Content-Type": "text/plain"})

    return (
        Route(
            method="GET",
            path="/v1/certificates",
            access="super-admin",
            handler=list_certificates,
            summary="How every host stands with its certificate, by hostname",
            answer=list[CertificateShape],
            faults=(Forbidden,),
        ),
        Route(
            method="GET",
            path="/.well-known/acme-challenge/{token}",
            access=PUBLIC,
            handler=answer_challenge,
            summary="What the certificate authority asks for while an order is under way",
            content="text/plain",
            faults=(ChallengeNotFound,),
            throttled=False,
        ),
    )
