"""What can fail around hostnames and their certificates."""

from __future__ import annotations

from kit.faults import Conflict, Invalid, Limited, NotFound, Unavailable


class DomainNotFound(NotFound):
    """No such hostname of this service."""

    code = "domain_not_found"


class ChallengeNotFound(NotFound):
    """No such token for this host."""

    code = "challenge_not_found"


class VerificationBusy(Conflict):
    """The hostname is being checked already."""

    code = "verification_busy"


class IssuerRefused(Invalid):
    """The certificate authority says no, to this host at least."""

    code = "issuer_refused"


class IssuerLimited(Limited):
    """The certificate authority wants to be asked less often."""

    code = "issuer_limited"


class IssuerUnreachable(Unavailable):
    """The certificate authority does not answer as one."""

    code = "issuer_unreachable"
