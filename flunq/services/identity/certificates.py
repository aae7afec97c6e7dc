"""A private authority for TLS: one folder with its certificate, its key and what it has issued."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from flunq.errors import ConflictError, NotFoundError, RejectedError, UsageError
from flunq.services.supervising.layout import PRIVATE_DIRECTORY, write_private

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

AUTHORITY = "ca"
AUTHORITY_DAYS = 3650
DAYS = 397
LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_BACKDATED = timedelta(minutes=5)
"""Clocks of those who check it may be behind."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate as people see it."""

    name: str
    hosts: list[str]
    expires: str
    days_left: int
    file: str
    key: str


class Authority:
    """The authority in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()
        self.certificate = self.folder / f"{AUTHORITY}.pem"
        self._key = self.folder / f"{AUTHORITY}.key"

    @property
    def exists(self) -> bool:
        """Whether it was made."""
        return self.certificate.is_file() and self._key.is_file()

    def create(self, *, days: int = AUTHORITY_DAYS) -> Certificate:
        """Make the authority; raises ConflictError when there is one."""
        if self.exists:
            raise ConflictError(
                f"{self.folder} has an authority", hint="flunq certs list; or name another --dir"
            )
        self.folder.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        key = _new_key()
        subject = _subject(f"flunq authority {datetime.now(UTC):%Y-%m-%d %H:%M:%S}")
        builder = _builder(subject, subject, key, days)
        made = _sign_authority(builder, key)
        write_private(self._key, _key_pem(key))
        write_private(self.certificate, _pem(made))
        return self.describe(AUTHORITY)

    def issue(
        self, name: str, hosts: Iterable[str] = (), *, days: int = DAYS, again: bool = False
    ) -> Certificate:
        """Issue a certificate for a server, valid for this machine and the hosts given."""
        if not _NAME.fullmatch(name) or name == AUTHORITY:
            raise UsageError(f"{name!r} cannot name a certificate")
        if self._file(name).exists() and not again:
            raise ConflictError(f"there is a certificate {name}", hint=f"flunq certs renew {name}")
        authority, signer = self._load()
        key = _new_key()
        named = list(dict.fromkeys([*LOCAL_HOSTS, *hosts]))
        builder = _builder(_subject(name), authority.subject, key, days)
        made = _sign_server(builder, authority, key, signer, named)
        write_private(self._key_file(name), _key_pem(key))
        write_private(self._file(name), _pem(made))
        return self.describe(name)

    def renew(self, name: str, *, days: int = DAYS) -> Certificate:
        """Issue a certificate anew, with a new key and for the same hosts."""
        return self.issue(name, self.describe(name).hosts, days=days, again=True)

    def all(self) -> list[Certificate]:
        """Return the authority and everything that it has issued."""
        names = [path.stem for path in sorted(self.folder.glob("*.pem"))]
        return [self.describe(name) for name in names if self._key_file(name).is_file()]

    def describe(self, name: str) -> Certificate:
        """Return one certificate; raises NotFoundError."""
        if not _NAME.fullmatch(name) or not self._file(name).is_file():
            raise NotFoundError(f"there is no certificate {name!r}", hint="flunq certs list")
        found = _read(self._file(name))
        expires = found.not_valid_after_utc
        return Certificate(
            name=name,
            hosts=_hosts(found),
            expires=expires.isoformat().replace("+00:00", "Z"),
            days_left=(expires - datetime.now(UTC)).days,
            file=str(self._file(name)),
            key=str(self._key_file(name)),
        )

    def ensure(
        self, name: str, hosts: Iterable[str] = (), *, renew_before: int = 30
    ) -> Certificate:
        """Return a certificate that is good for a while, making what is missing or too old."""
        if not self.exists:
            self.create()
        if not self._file(name).is_file():
            return self.issue(name, hosts)
        found = self.describe(name)
        if found.days_left < renew_before or not set(hosts) <= set(found.hosts):
            return self.issue(name, [*found.hosts, *hosts], again=True)
        return found

    def _load(self) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        if not self.exists:
            raise NotFoundError(f"{self.folder} has no authority", hint="flunq certs init")
        try:
            key = load_pem_private_key(self._key.read_bytes(), None)
        except (ValueError, TypeError) as error:
            raise RejectedError(f"the key is not readable: {error}", where=str(self._key)) from None
        if not isinstance(key, EllipticCurvePrivateKey):
            raise RejectedError("the key is not one of flunq certs", where=str(self._key))
        return _read(self.certificate), key

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def _key_file(self, name: str) -> Path:
        return self.folder / f"{name}.key"


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _subject(name: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _sign_authority(
    builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _sign_server(
    builder: x509.CertificateBuilder,
    authority: x509.Certificate,
    key: EllipticCurvePrivateKey,
    signer: EllipticCurvePrivateKey,
    hosts: list[str],
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .add_extension(x509.SubjectAlternativeName([_host(h) for h in hosts]), critical=False)
        .sign(signer, hashes.SHA256())
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _host(text: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        return x509.DNSName(text.encode("idna").decode())
    except (UnicodeError, ValueError) as error:
        raise UsageError(f"{text!r} is no host", hint="a name or an address") from error


def _hosts(certificate: x509.Certificate) -> list[str]:
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in names]


def _read(path: Path) -> x509.Certificate:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (ValueError, OSError) as error:
        raise RejectedError(f"no readable certificate: {error}", where=str(path)) from None


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
