"""Certificates for tests of mutual TLS: a throw-away authority, and the three files that every program of ours is given."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

INTERNAL_NAMES = ("worker.headgate.internal", "controlplane.headgate.internal", "router.headgate.internal")
DAY = timedelta(days=1)


class Authority:
    """Signs certificates (P-256). Two authorities trust each other's certificates no more than strangers'."""

    def __init__(self, name: str = "headgate tests") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        start = datetime.now(UTC) - DAY
        builder = _builder(self._name, self._name, self._key.public_key(), start, start + 30 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())

    @property
    def certificate_pem(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, folder: Path, names: Sequence[str] = INTERNAL_NAMES, *, expired: bool = False) -> Path:
        """Writes ca.crt, tls.crt and tls.key, each whole or not at all, over what is there; returns the folder.

        The certificate holds for client and server, and for these DNS names. `expired`: it ended an hour ago.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        start = datetime.now(UTC) - DAY
        end = start + DAY - timedelta(hours=1) if expired else start + 2 * DAY
        builder = _builder(_name(names[0]), self._name, key.public_key(), start, end)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(sign_certificates=False), critical=True)
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = builder.add_extension(issuer, critical=False).sign(self._key, hashes.SHA256())
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "ca.crt", self.certificate_pem)
        _write(folder / "tls.key", private)
        _write(folder / "tls.crt", certificate.public_bytes(serialization.Encoding.PEM))
        return folder


def make_certificates(folder: Path, names: Sequence[str] = INTERNAL_NAMES) -> None:
    """Writes ca.crt, tls.crt and tls.key of a new authority: enough where all programs share one certificate."""
    Authority().issue(folder, names)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes) -> None:
    """A reader sees the old content or the new, as with a mounted Secret."""
    fresh = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(path)
