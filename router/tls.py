"""Mutual TLS towards our other programs: the credentials in one folder with ca.crt, tls.crt and tls.key.

Addresses of pods change, so a program is known by a fixed name in its certificate, not by its address.
"""

import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc

WORKER = "worker.headgate.internal"
CONTROL_PLANE = "controlplane.headgate.internal"
LOOK_S = 5.0  # between two looks at the files

log = logging.getLogger(__name__)


class TlsUnusable(Exception):
    """The files are not there or don't belong together. The text names the folder; what is in the files is never told."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """One state of the folder, ready to use: for gRPC, and for asyncio with HTTP/2."""

    channel: grpc.ChannelCredentials
    context: ssl.SSLContext


class TlsFiles:
    """The credentials as they are now; new ones replace them, files that make no sense leave the last that did.

    Raises TlsUnusable if there are none to begin with. `clock` gives monotonic seconds.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._content = self._read()
        self._credentials = self._load(self._content)
        self._look_s = clock() + LOOK_S

    def current(self) -> Credentials:
        """The same object until the files change. Cheap: they are looked at every few seconds."""
        if self._clock() >= self._look_s:
            self._look_s = self._clock() + LOOK_S
            self._renew()
        return self._credentials

    def _renew(self) -> None:
        try:
            if (content := self._read()) != self._content:
                self._credentials = self._load(content)
                self._content = content
                log.info("%s: certificates were renewed", self._folder)
        except TlsUnusable as fault:
            log.warning("%s; the last certificates stay in use", fault)

    def _read(self) -> tuple[bytes, bytes, bytes]:
        """CA, private key, certificate chain."""
        try:
            ca, key, chain = ((self._folder / name).read_bytes() for name in ("ca.crt", "tls.key", "tls.crt"))
        except OSError as fault:
            raise TlsUnusable(f"{fault.filename}: {fault.strerror}") from None
        return ca, key, chain

    def _load(self, content: tuple[bytes, bytes, bytes]) -> Credentials:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # demands a certificate for the name that is asked for
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])
        try:
            context.load_verify_locations(cadata=content[0].decode("ascii"))
            chain, key = self._folder / "tls.crt", self._folder / "tls.key"
            context.load_cert_chain(chain, key, password=lambda: "")  # else it asks at the terminal
        except (OSError, ValueError):  # ssl's own text is left out: it may quote what it could not read
            raise TlsUnusable(f"{self._folder}: ca.crt, tls.crt and tls.key don't make a usable certificate") from None
        if self._read() != content:
            raise TlsUnusable(f"{self._folder}: the files changed while they were read")
        return Credentials(grpc.ssl_channel_credentials(*content), context)
