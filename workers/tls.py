"""Mutual TLS of a worker's server: the credentials in one folder with ca.crt, tls.crt and tls.key. Renewed ones are taken
without a restart.
"""

import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import cast

import grpc

_log = logging.getLogger(__name__)
_Content = tuple[bytes, bytes, bytes]


class TlsUnusable(Exception):
    """The files are not there or don't belong together. The text names the folder; what is in the files is never told."""


def server_credentials(folder: Path) -> grpc.ServerCredentials:
    """Whoever connects must show a certificate that ca.crt vouches for. Raises TlsUnusable."""
    files = _Files(folder)
    newer = cast(Callable[[], grpc.ServerCertificateConfiguration], files.newer)  # may be None, which the stubs don't know
    return grpc.dynamic_ssl_server_credentials(files.initial(), newer, require_client_authentication=True)


class _Files:
    """Read at each handshake, on gRPC's own thread: routers keep their connections, so there are few."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._content = read(folder)

    def initial(self) -> grpc.ServerCertificateConfiguration:
        return _configuration(self._content)

    def newer(self) -> grpc.ServerCertificateConfiguration | None:
        """What has changed since it was last asked for; None: nothing, or nothing that makes sense."""
        try:
            content = read(self._folder)
        except TlsUnusable as fault:
            _log.warning("%s; the last certificate stays in use", fault)
            return None
        if content == self._content:
            return None
        self._content = content
        _log.info("%s: the certificate was renewed", self._folder)
        return _configuration(content)


def read(folder: Path) -> _Content:
    """CA, private key and certificate chain, PEM. Raises TlsUnusable, also where they don't belong together."""
    content = _bytes(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(cadata=content[0].decode("ascii"))
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key", password=lambda: "")  # else it asks at the terminal
    except (OSError, ValueError):  # ssl's own text is left out: it may quote what it could not read
        raise TlsUnusable(f"{folder}: ca.crt, tls.crt and tls.key don't make a usable certificate") from None
    if _bytes(folder) != content:
        raise TlsUnusable(f"{folder}: the files changed while they were read")
    return content


def _bytes(folder: Path) -> _Content:
    try:
        ca, key, chain = ((folder / name).read_bytes() for name in ("ca.crt", "tls.key", "tls.crt"))
    except OSError as fault:
        raise TlsUnusable(f"{fault.filename}: {fault.strerror}") from None
    return ca, key, chain


def _configuration(content: _Content) -> grpc.ServerCertificateConfiguration:
    ca, key, chain = content
    return grpc.ssl_server_certificate_configuration([(key, chain)], ca)
