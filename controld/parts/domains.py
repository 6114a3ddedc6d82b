"""The parts that know hostnames: who owns them, and what serves them over TLS."""

from __future__ import annotations

import dataclasses
import datetime as dt
import ipaddress
import random
from contextlib import AsyncExitStack

from controld.core.certificates import Certificates
from controld.core.domains import Domains
from controld.core.ingress import IngressRoutes
from controld.core.proof_spread import ProofSpread
from controld.gateways.acme import AcmeIssuer
from controld.gateways.ownership import OwnershipCheck
from controld.gateways.resolver import ServerResolver, SystemResolver
from controld.parts.control_domain import control_domain_of, leading_label_of
from controld.parts.ground import Ground
from controld.parts.nodes import NodeParts
from controld.store.certificates import CertificateStore
from controld.store.facts import FactStore
from controld.store.hostnames import HostnameStore
from controld.store.leases import LeaseStore
from controld.store.node_specs import NodeSpecStore
from controld.store.services import ServiceStore
from kit.settings import SettingsInvalid


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DomainParts:
    """Hostnames and what belongs to them."""

    domains: Domains
    certificates: Certificates
    ingress: IngressRoutes


def open_domains(ground: Ground, nodes: NodeParts, *, stack: AsyncExitStack) -> DomainParts:
    """The parts; the stack gives up orders that are under way. Raises SettingsInvalid."""
    settings = ground.settings
    if settings.control_tls and (settings.acme_email is None or settings.control_domain is None):
        raise SettingsInvalid("cannot use the settings: control_tls needs control_domain and acme_email")
    if settings.base_domain_tls and settings.acme_email is None:
        raise SettingsInvalid("cannot use the settings: base_domain_tls needs acme_email")
    certificate_store = CertificateStore()
    spread = ProofSpread(fleet=nodes.fleet, specs=nodes.specs, clock=ground.clock)
    resolver = ServerResolver(settings.verify_dns_servers) if settings.verify_dns_servers else SystemResolver()
    return DomainParts(
        domains=Domains(
            database=ground.database,
            services=ServiceStore(),
            hostnames=HostnameStore(),
            certificates=certificate_store,
            leases=LeaseStore(),
            spread=spread,
            probe=OwnershipCheck(
                resolver,
                port=settings.verify_port,
                allowed=[ipaddress.ip_network(network) for network in settings.verify_private_networks],
            ),
            audit=ground.audit,
            clock=ground.clock,
            ids=ground.ids,
            base_domain=settings.base_domain.lower(),
            control_domain=control_domain_of(settings),
        ),
        certificates=Certificates(
            database=ground.database,
            certificates=certificate_store,
            facts=FactStore(),
            keys=nodes.certificate_keys,
            vault=ground.secrets,
            issuer=_open_issuer(ground, stack),
            spread=spread,
            clock=ground.clock,
            ids=ground.ids,
            jitter=random.random,
            renew_before=dt.timedelta(seconds=settings.certificate_renew_seconds),
            control_domain=control_domain_of(settings) if settings.control_tls else None,
            assigned=settings.base_domain_tls,
        ),
        ingress=IngressRoutes(
            database=ground.database, store=NodeSpecStore(), leading_label=leading_label_of(settings)
        ),
    )


def _open_issuer(ground: Ground, stack: AsyncExitStack) -> AcmeIssuer | None:
    settings = ground.settings
    if settings.acme_email is None:
        return None
    issuer = AcmeIssuer(
        settings.acme_directory_url, email=settings.acme_email, ca_file=settings.acme_ca_file, clock=ground.clock
    )
    stack.callback(issuer.close)
    return issuer
