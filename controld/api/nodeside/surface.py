"""The route table of the node side."""

from __future__ import annotations

from controld.api.nodeside.auth import NodeAuth
from controld.api.nodeside.enrolment import EnrolmentHandlers
from controld.api.nodeside.envelope import render_fault
from controld.api.nodeside.link import LinkHandlers
from controld.core.authority import Authority
from controld.core.enrolment import Enrolment
from controld.core.faults import JoinTokenRefused, NodeRefused
from controld.core.link import Links
from controld.core.waking import Waking
from kit.http.surface import PUBLIC, Ask, Route, Surface
from kit.tls import BadCertificate
from wire import link
from wire.control import enrolment as messages
from wire.control import wakes

_NODE = "node"
_MOST_BODY = 64 * 1024


def make_surface(
    *, auth: NodeAuth, authority: Authority, enrolment: Enrolment, links: Links, waking: Waking
) -> Surface:
    """The node side over these parts; it is served under TLS with client certificates asked for."""

    async def wake(ask: Ask) -> wakes.WakeTold:
        asked: wakes.WakeAsked = ask.body
        await waking.wake(asked.service_id)
        return wakes.WakeTold()

    enrolling, linking = EnrolmentHandlers(authority, enrolment), LinkHandlers(links)
    return Surface(
        name="nodeside",
        title="Moorage node side",
        version="1",
        claims=(messages.AUTHORITY_PATH, messages.ENROLMENTS_PATH, messages.RENEWALS_PATH, wakes.WAKES_PATH, link.PATH),
        routes=(
            Route(
                method="GET",
                path=messages.AUTHORITY_PATH,
                access=PUBLIC,
                handler=enrolling.show_authority,
                summary="The authority's certificate",
            ),
            Route(
                method="POST",
                path=messages.ENROLMENTS_PATH,
                access=PUBLIC,
                handler=enrolling.enrol,
                summary="Become a node by a join token",
                body=messages.EnrolmentAsked,
                answer=messages.Enrolled,
                max_body_bytes=_MOST_BODY,
                faults=(JoinTokenRefused, BadCertificate),
            ),
            Route(
                method="POST",
                path=messages.RENEWALS_PATH,
                access=_NODE,
                handler=enrolling.renew,
                summary="Get a fresh certificate",
                body=messages.RenewalAsked,
                answer=messages.Renewed,
                max_body_bytes=_MOST_BODY,
                faults=(NodeRefused, BadCertificate),
            ),
            Route(
                method="POST",
                path=wakes.WAKES_PATH,
                access=_NODE,
                handler=wake,
                summary="Wake a service that scaled to nothing",
                body=wakes.WakeAsked,
                answer=wakes.WakeTold,
                max_body_bytes=_MOST_BODY,
                faults=(NodeRefused,),
            ),
            Route(
                method="GET",
                path=link.PATH,
                access=_NODE,
                handler=linking.keep,
                summary="Keep the link",
                stream="websocket",
                faults=(NodeRefused,),
            ),
        ),
        authenticate=auth.authenticate,
        render_fault=render_fault,
    )
