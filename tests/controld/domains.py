"""Hostnames and their certificates for tests, over an Internet and an authority in memory."""

from __future__ import annotations

import datetime as dt

from controld.core.audit import Audit
from controld.core.certificate_keys import CertificateKeys
from controld.core.certificates import Certificates
from controld.core.domains import Domains
from controld.core.node_specs import NodeSpecs
from controld.core.proof_spread import ProofSpread
from controld.store.certificates import CertificateStore
from controld.store.engine import Database
from controld.store.facts import FactStore
from controld.store.hostnames import HostnameStore
from controld.store.leases import LeaseStore
from controld.store.node_specs import NodeSpecStore
from controld.store.services import ServiceStore
from kit.ids import Ids
from tests.fakes.clock import FakeClock
from tests.fakes.fleet import FakeFleet
from tests.fakes.issuer import FakeIssuer
from tests.fakes.ownership import FakeProbe
from tests.fakes.secrets import FakeSecrets


class DomainWorld:
    """What the daemon makes of hostnames, with `probe` and `issuer` in a test's hands."""

    def __init__(
        self,
        database: Database,
        *,
        secrets: FakeSecrets,
        fleet: FakeFleet,
        audit: Audit,
        clock: FakeClock,
        ids: Ids,
        control_domain: str | None,
    ) -> None:
        self.probe = FakeProbe()
        self.issuer = FakeIssuer()
        self.leases = LeaseStore()
        self.keys = CertificateKeys(secrets)
        self.specs = NodeSpecs(
            database=database,
            store=NodeSpecStore(),
            feed=database.feed,
            keys=self.keys,
            control_domain=control_domain,
        )
        spread = ProofSpread(fleet=fleet, specs=self.specs, clock=clock)
        self.domains = Domains(
            database=database,
            services=ServiceStore(),
            hostnames=HostnameStore(),
            certificates=CertificateStore(),
            leases=self.leases,
            probe=self.probe,
            spread=spread,
            audit=audit,
            clock=clock,
            ids=ids,
            base_domain="apps.example",
            control_domain=control_domain,
        )
        self.certificates = Certificates(
            database=database,
            certificates=CertificateStore(),
            facts=FactStore(),
            keys=self.keys,
            vault=secrets,
            issuer=self.issuer,
            spread=spread,
            clock=clock,
            ids=ids,
            jitter=lambda: 0.0,
            renew_before=dt.timedelta(days=30),
            control_domain=None,
            assigned=False,
        )
