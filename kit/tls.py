"""Keys, certificates and TLS contexts: P-256 keys, a private authority, TLS 1.3 on both sides.

Everything in PEM as text. `cryptography` is imported where it is used: who only speaks TLS never loads it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kit.faults import Invalid

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

_BACKDATED: Final = dt.timedelta(hours=1)
"""A certificate is valid from a little before it was made, for peers whose clocks are behind."""


class BadCertificate(Invalid):
    """A key, a signing request or a certificate that cannot be used."""

    code = "bad_certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Whom a certificate speaks for: `hosts` are host names or IP addresses."""

    common_name: str
    uri: str
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What matters of a certificate: its serial in lowercase hexadecimal, its URI, and when it is valid."""

    serial: str
    uri: str | None
    not_before_at: dt.datetime
    not_after_at: dt.datetime

    def renew_at(self) -> dt.datetime:
        """The moment at two thirds of its life."""
        return self.not_before_at + (self.not_after_at - self.not_before_at) * 2 / 3


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a TLS connection, by a certificate that has been verified."""

    uri: str
    serial: str
    """Lowercase hexadecimal without leading zeros."""


def make_key() -> str:
    """A fresh P-256 key, PKCS 8, not encrypted: keep it in a file of mode 0600."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def make_signing_request(key_pem: str, *, common_name: str) -> str:
    """A certificate signing request for the key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(common_name))
    return builder.sign(_load_key(key_pem), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def make_authority(key_pem: str, *, common_name: str, now: dt.datetime, lifetime: dt.timedelta) -> str:
    """A self-signed certificate of an authority that signs end certificates only."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    key = _load_key(key_pem)
    usage = x509.KeyUsage(**{**_NO_USAGE, "key_cert_sign": True, "crl_sign": True})
    builder = (
        _builder(common_name, public_key=key.public_key(), now=now, lifetime=lifetime)
        .issuer_name(_name(common_name))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def sign_certificate(
    request_pem: str,
    names: Names,
    *,
    authority_pem: str,
    authority_key_pem: str,
    now: dt.datetime,
    lifetime: dt.timedelta,
) -> str:
    """A certificate for the request's key under `names`, good for either end of a connection.

    Of the request only the key counts, which must be P-256 and have signed it; raises BadCertificate.
    """
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        request = x509.load_pem_x509_csr(request_pem.encode())
        public_key = request.public_key()
        is_signed = request.is_signature_valid
    except (ValueError, TypeError, InvalidSignature) as error:
        raise BadCertificate("cannot sign certificate: the request is not a signing request in PEM") from error
    if not isinstance(public_key, ec.EllipticCurvePublicKey) or not isinstance(public_key.curve, ec.SECP256R1):
        raise BadCertificate("cannot sign certificate: the request's key is not ECDSA P-256")
    if not is_signed:
        raise BadCertificate("cannot sign certificate: the request is not signed by its own key")
    authority = _load_certificate(authority_pem)
    authority_key = _load_key(authority_key_pem)
    usage = x509.KeyUsage(**{**_NO_USAGE, "digital_signature": True})
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        _builder(names.common_name, public_key=public_key, now=now, lifetime=lifetime)
        .issuer_name(authority.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
    )
    return builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def parse_certificate(certificate_pem: str) -> Certificate:
    """What matters of a certificate; raises BadCertificate."""
    from cryptography import x509

    certificate = _load_certificate(certificate_pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        uris = []
    return Certificate(
        serial=f"{certificate.serial_number:x}",
        uri=uris[0] if len(uris) == 1 else None,
        not_before_at=certificate.not_valid_before_utc,
        not_after_at=certificate.not_valid_after_utc,
    )


def read_hosts(certificate_pem: str) -> frozenset[str]:
    """The host names that a certificate speaks for; raises BadCertificate."""
    from cryptography import x509

    certificate = _load_certificate(certificate_pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(names.get_values_for_type(x509.DNSName))


def is_key_of(key_pem: str, certificate_pem: str) -> bool:
    """Whether the certificate was made for this key."""
    return bool(_load_key(key_pem).public_key() == _load_certificate(certificate_pem).public_key())


def is_signed_by(certificate_pem: str, authority_pem: str) -> bool:
    """Whether the authority signed the certificate."""
    from cryptography.exceptions import InvalidSignature

    try:
        _load_certificate(certificate_pem).verify_directly_issued_by(_load_certificate(authority_pem))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def compute_fingerprint(certificate_pem: str) -> str:
    """SHA-256 of the certificate in DER, lowercase hexadecimal; raises BadCertificate."""
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate_pem.strip())).hexdigest()
    except ValueError as error:
        raise BadCertificate("cannot read certificate: it is not PEM") from error


def server_context(*, certificate: Path, key: Path, authority_pem: str, client_required: bool) -> ssl.SSLContext:
    """A server's context: TLS 1.3, clients by certificates of the authority, asked for or demanded.

    Loading another pair into it with `load_cert_chain` is a renewal that open connections do not notice.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, authority_pem)
    context.verify_mode = ssl.CERT_REQUIRED if client_required else ssl.CERT_OPTIONAL
    context.load_cert_chain(certificate, key)
    # A resumed session would carry a certificate on past its end.
    context.num_tickets = 0
    return context


def client_context(*, authority_pem: str, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """A client's context: TLS 1.3, only servers of the authority that bear the host name asked for."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, authority_pem)
    context.check_hostname = True
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def unverified_client_context() -> ssl.SSLContext:
    """A client's context that trusts anyone: for fetching what is then checked against a known fingerprint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def peer_of_connection(connection: ssl.SSLObject | ssl.SSLSocket | None) -> Peer | None:
    """Who is at the other end, or None without a verified certificate that names exactly one URI."""
    facts: Any = connection.getpeercert() if connection is not None else None
    if not facts:
        return None
    uris = [value for kind, value in facts.get("subjectAltName", ()) if kind == "URI"]
    if len(uris) != 1:
        return None
    return Peer(uri=uris[0], serial=facts["serialNumber"].lower().lstrip("0"))


_NO_USAGE: Final = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)


def _context(protocol: int, authority_pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=authority_pem)
    return context


def _builder(
    common_name: str, *, public_key: ec.EllipticCurvePublicKey, now: dt.datetime, lifetime: dt.timedelta
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lifetime)
    )


def _general_names(names: Names) -> list[x509.GeneralName]:
    from cryptography import x509

    found: list[x509.GeneralName] = [x509.UniformResourceIdentifier(names.uri)]
    for host in names.hosts:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            found.append(x509.DNSName(host))
    return found


def _name(common_name: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def _load_key(key_pem: str) -> ec.EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_private_key(key_pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise BadCertificate("cannot read key: it is not a private key in PEM") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadCertificate("cannot read key: it is not an elliptic curve key")
    return key


def _load_certificate(certificate_pem: str) -> x509.Certificate:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(certificate_pem.encode())
    except ValueError as error:
        raise BadCertificate("cannot read certificate: it is not a certificate in PEM") from error
