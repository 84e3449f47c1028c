"""Certificates that Helm makes: each program's verifies against the CA for its own fixed name, in a real handshake."""

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.helm.chart import NAMESPACE, Object, Rendered, render
from tests.helm.variants import VARIANTS

pytestmark = pytest.mark.requires("helm")

PROGRAMS = ("router", "controlplane", "worker")


@pytest.fixture(scope="module")
def rendered() -> Rendered:
    return render(VARIANTS["two namespaces, TLS by Helm"])


def folder_of(secret: Object, folder: Path) -> Path:
    """The Secret as a pod has it mounted."""
    folder.mkdir()
    for name, value in secret["data"].items():
        (folder / name).write_bytes(base64.b64decode(value))
    return folder


def context(purpose: ssl.Purpose, folder: Path) -> ssl.SSLContext:
    made = ssl.create_default_context(purpose, cafile=str(folder / "ca.crt"))
    made.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    return made


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    """A whole TLS handshake in memory; raises SSLError where one side refuses the other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert all(end.getpeercert() for end in ends)


def test_each_program_is_known_by_its_own_name(rendered: Rendered) -> None:
    for program in PROGRAMS:
        certificate = x509.load_pem_x509_certificate(
            base64.b64decode(rendered.one("Secret", f"{program}-tls")["data"]["tls.crt"])
        )
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [f"{program}.headgate.internal"]
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert set(usages) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


@pytest.mark.parametrize(("caller", "server"), [("router", "worker"), ("router", "controlplane")])
def test_both_ends_accept_each_other(rendered: Rendered, tmp_path: Path, caller: str, server: str) -> None:
    ours, theirs = (folder_of(rendered.one("Secret", f"{p}-tls"), tmp_path / p) for p in (caller, server))
    client, listener = context(ssl.Purpose.SERVER_AUTH, ours), context(ssl.Purpose.CLIENT_AUTH, theirs)
    shake_hands(client, listener, f"{server}.headgate.internal")
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(client, listener, "router.headgate.internal")


def test_a_certificate_of_another_release_is_refused(rendered: Rendered, tmp_path: Path) -> None:
    other = render({"tls": {"mode": "self-signed"}})
    stranger = folder_of(other.one("Secret", "router-tls"), tmp_path / "stranger")
    worker = folder_of(rendered.one("Secret", "worker-tls"), tmp_path / "worker")
    client, listener = context(ssl.Purpose.SERVER_AUTH, stranger), context(ssl.Purpose.CLIENT_AUTH, worker)
    client.load_verify_locations(worker / "ca.crt")
    with pytest.raises(ssl.SSLError):
        shake_hands(client, listener, "worker.headgate.internal")


def test_workers_find_the_same_certificate_in_each_namespace(rendered: Rendered) -> None:
    here, there = (rendered.one("Secret", "worker-tls", namespace=name) for name in (NAMESPACE, "team-b"))
    assert here["data"] == there["data"]
    elsewhere = {s["metadata"]["name"] for s in rendered.all("Secret") if s["metadata"]["namespace"] != NAMESPACE}
    assert elsewhere == {"edge-headgate-worker-tls"}


@pytest.mark.parametrize("name", [name for name in VARIANTS if "TLS" in name])
def test_programs_mount_what_there_is(name: str) -> None:
    variant = render(VARIANTS[name])
    made = set(_made(variant))
    for program in ("router", "controlplane"):
        assert variant.settings(program)["tls"] == {"folder": "/etc/headgate/tls"}
        volumes = variant.one("Deployment", program)["spec"]["template"]["spec"]["volumes"]
        (secret,) = [volume["secret"]["secretName"] for volume in volumes if volume["name"] == "tls"]
        assert secret in made or "existing" in name
    worker = variant.settings("controlplane")["platform"]["worker_tls_secret"]
    assert worker in made or worker == "worker-tls"


def test_without_tls_nothing_is_mounted() -> None:
    plain = render()
    assert "tls" not in plain.settings("router")
    assert plain.settings("controlplane")["platform"]["worker_tls_secret"] == ""
    assert [secret["metadata"]["name"] for secret in plain.all("Secret")] == ["edge-headgate-redis"]


def _made(variant: Rendered) -> Iterator[str]:
    yield from (secret["metadata"]["name"] for secret in variant.all("Secret"))
    yield from (certificate["spec"]["secretName"] for certificate in variant.all("Certificate"))
