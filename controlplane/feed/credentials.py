"""Mutual TLS for the server: clients must show a certificate of our authority, and new files are taken without a restart."""

import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import cast

import grpc

_FILES = ("tls.key", "tls.crt", "ca.crt")
_log = logging.getLogger(__name__)


def server_credentials(folder: Path) -> grpc.ServerCredentials:
    """For a folder with tls.crt, tls.key and ca.crt (PEM), as a mounted Secret has them.

    They are looked at when a client connects. New ones that don't fit together, as while they are being replaced, are left
    until they do. Raises OSError where a file can't be read or they don't fit together (ssl.SSLError).
    """
    files = CertificateFiles(folder)
    newer = cast(Callable[[], grpc.ServerCertificateConfiguration], files.newer)  # None is allowed, the stubs don't know
    return grpc.dynamic_ssl_server_credentials(files.first(), newer, require_client_authentication=True)


class CertificateFiles:
    """The three files as they were last taken."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: tuple[bytes, ...] = ()
        self._fault = ""

    def first(self) -> grpc.ServerCertificateConfiguration:
        self._taken = self._read()
        self._check()
        return _configuration(self._taken)

    def newer(self) -> grpc.ServerCertificateConfiguration | None:
        """The files, where they changed and fit; called by gRPC, on a thread of its own. Never raises: the old ones stay."""
        try:
            found = self._read()
            if found == self._taken:
                return None
            self._check()
            if found != self._read():
                return None  # they changed while we looked; the next client asks again
        except (OSError, ValueError) as fault:
            self._tell(f"{type(fault).__name__}: {fault}")
            return None
        self._taken = found
        self._tell("")
        _log.info("new certificates taken from %s", self._folder)
        return _configuration(found)

    def _read(self) -> tuple[bytes, ...]:
        return tuple((self._folder / name).read_bytes() for name in _FILES)

    def _check(self) -> None:
        """OpenSSL says whether key and certificate belong together, and whether the authority's certificate is one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "tls.crt", self._folder / "tls.key", password=lambda: "")  # never ask
        context.load_verify_locations(self._folder / "ca.crt")

    def _tell(self, fault: str) -> None:
        if fault and fault != self._fault:
            _log.warning("new certificates in %s are not taken: %s", self._folder, fault)
        self._fault = fault


def _configuration(files: tuple[bytes, ...]) -> grpc.ServerCertificateConfiguration:
    key, certificate, authority = files
    return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=authority)
