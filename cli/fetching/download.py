"""Brings one pinned file of a package index here: finds it through pip's settings, resumes a broken download, checks the sum.

pip knows the user's index, mirrors and proxies, so pip is asked where the file is; it is not asked to download, because it
shows no progress to a log and starts again from nothing after a break.
"""

import base64
import errno
import hashlib
import http.client
import importlib.util
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.errors import CommandError
from cli.fetching.progress import Report, Step, silent

_CHUNK_BYTES = 1 << 20
_TRIES_WITHOUT_PROGRESS = 5
_TIMEOUT_S = 60.0
_REFUSED = (401, 403, 404, 407, 410)
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EISDIR)
_NETWORK_TODO = (
    "Check the network and try again: what is here already is kept. Proxy: https_proxy=...; own index: pip config set"
)


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """One file of one release, by content."""

    requirement: str
    filename: str
    sha256: str
    size_bytes: int


class _Broken(Exception):
    """The transfer ended early; what arrived is kept."""


def locate(file: PinnedFile) -> str:
    """The address of the file at the index that pip is set up for. Raises CommandError."""
    python = sys.executable if importlib.util.find_spec("pip") else getattr(sys, "_base_executable", sys.executable)
    ask = [python, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed", "--only-binary", ":all:", "--quiet"]
    # fast-deps reads a wheel's metadata without fetching the wheel; a pip that has forgotten it fetches, and answers too.
    for more in (["--use-feature=fast-deps"], []):
        answer = subprocess.run([*ask, *more, "--report", "-", file.requirement], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            return str(json.loads(answer.stdout)["install"][0]["download_info"]["url"])
    said = answer.stderr.strip().splitlines()
    raise CommandError(f"pip could not find {file.requirement}: {said[-1] if said else 'no reason given'}", todo=_NETWORK_TODO)


def download(
    file: PinnedFile,
    folder: Path,
    report: Report = silent,
    where: Callable[[PinnedFile], str] = locate,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Returns the file in `folder`, verified; fetches what is missing of it. Raises CommandError."""
    target = folder / file.filename
    if target.exists():
        if _sha256(target) == file.sha256:
            return target
        report(Step(f"{target.name} was damaged on disk; deleted, fetching it again"))
        target.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{file.filename}.part"
    url = where(file)
    for again in (True, False):  # a part left by an earlier run may be bad; a second mismatch is the index's doing
        _complete(url, part, file.size_bytes, report, sleep)
        if _sha256(part) == file.sha256:
            return part.replace(target)
        part.unlink()
        if again:
            report(Step(f"{file.filename} arrived damaged (sha256 differs); deleted, fetching it again"))
    source = urllib.parse.urlsplit(url).hostname or url
    raise CommandError(
        f"{file.filename} from {source} is not the file that Headgate knows (sha256 differs)",
        todo="The index or a proxy serves other content. It was deleted; nothing was installed.",
    )


def _complete(url: str, part: Path, size_bytes: int, report: Report, sleep: Callable[[float], None]) -> None:
    """Adds to `part` until it has `size_bytes`, through broken connections."""
    failures = 0
    while (had := _size(part)) < size_bytes:
        try:
            _append(url, part, size_bytes, report)
        except (_Broken, OSError, http.client.HTTPException) as broken:
            if isinstance(broken, urllib.error.HTTPError):
                broken.close()  # it is an answer too, with a connection
            _refuse_hopeless(broken, url)
            failures = 1 if _size(part) > had else failures + 1
            if failures >= _TRIES_WITHOUT_PROGRESS:
                raise CommandError(f"Fetching {part.stem} failed: {broken}", todo=_NETWORK_TODO) from broken
            report(Step(f"The connection broke at {_size(part) / 1e6:.1f} MB ({broken}); resuming"))
            sleep(2.0 ** (failures - 1))


def _refuse_hopeless(problem: Exception, url: str) -> None:
    """Raises CommandError for what another try cannot cure."""
    host = urllib.parse.urlsplit(url).hostname or "the index"
    if isinstance(problem, urllib.error.HTTPError) and problem.code in _REFUSED:
        todo = (
            "If the index wants a login, put it into the index address in pip's settings" if problem.code in (401, 403) else ""
        )
        raise CommandError(f"{host} answered {problem.code} {problem.reason}", todo=todo) from problem
    if isinstance(problem, urllib.error.URLError) and isinstance(problem.reason, ssl.SSLCertVerificationError):
        todo = "SSL_CERT_FILE or PIP_CERT names a file of certificates to trust"
        raise CommandError(f"The certificate of {host} is not trusted: {problem.reason.verify_message}", todo=todo) from problem
    if isinstance(problem, OSError) and problem.errno in _DISK:
        raise CommandError(f"Cannot write the download: {problem}", todo="Free some disk, or set HEADGATE_HOME") from problem


def _append(url: str, part: Path, size_bytes: int, report: Report) -> None:
    """One request for what is missing; starts over where the server cannot serve a range."""
    had = _size(part)
    with _open(url, had) as answer:
        resumes = answer.status == http.client.PARTIAL_CONTENT and _range_start(answer) == had
        had = had if resumes else 0
        with part.open("ab" if resumes else "wb") as out:
            text = f"Fetching {part.stem}"
            report(Step(text, had, size_bytes))
            while had < size_bytes and (chunk := answer.read(min(_CHUNK_BYTES, size_bytes - had))):
                out.write(chunk)
                had += len(chunk)
                report(Step(text, had, size_bytes))
    if had < size_bytes:
        raise _Broken("closed by the other side")


def _open(url: str, start: int) -> Any:
    address = urllib.parse.urlsplit(url)
    if address.scheme not in ("http", "https", "file"):
        raise CommandError(f"pip names an address that cannot be fetched from: {address.scheme}://...")
    headers = {"Accept-Encoding": "identity", "User-Agent": "headgate"} | ({"Range": f"bytes={start}-"} if start else {})
    if address.username:
        login = f"{urllib.parse.unquote(address.username)}:{urllib.parse.unquote(address.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        url = address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme was checked
    trust = urllib.request.HTTPSHandler(context=_trust())
    return urllib.request.build_opener(trust).open(request, timeout=_TIMEOUT_S)


def _trust() -> ssl.SSLContext:
    """The system's authorities or SSL_CERT_FILE's, and pip's extra one."""
    context = ssl.create_default_context()
    if extra := os.environ.get("PIP_CERT"):
        context.load_verify_locations(extra)
    return context


def _range_start(answer: Any) -> int:
    """Where a 206 begins: `Content-Range: bytes 100-199/200` → 100; -1 where it does not say."""
    _, _, ranges = answer.headers.get("Content-Range", "").partition(" ")
    start = ranges.partition("-")[0]
    return int(start) if start.isdigit() else -1


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
