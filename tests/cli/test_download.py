import hashlib
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.errors import CommandError
from cli.fetching import download as module
from cli.fetching.download import PinnedFile, download
from cli.fetching.progress import Step
from tests.cli.file_server import FileServer, Plan

CONTENT = random.Random(7).randbytes(3_000_000)
FILE = PinnedFile("thing==1", "thing-1-py3-none-any.whl", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


class Fetch:
    """One server, one folder, and everything that was reported."""

    def __init__(self, folder: Path, plan: Plan, address: str) -> None:
        self.folder, self.plan, self.address = folder, plan, address
        self.login = ""
        self.steps: list[Step] = []
        self.slept_s: list[float] = []

    def __call__(self, file: PinnedFile = FILE) -> Path:
        url = f"http://{self.login}{self.address}/files/{file.filename}"
        return download(file, self.folder, self.steps.append, lambda _: url, self.slept_s.append)

    @property
    def part(self) -> Path:
        return self.folder / f"{FILE.filename}.part"

    def said(self, words: str) -> bool:
        return any(words in step.text for step in self.steps)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Plan], Fetch]]:
    servers: list[FileServer] = []

    def start(plan: Plan) -> Fetch:
        servers.append(FileServer(plan).__enter__())
        return Fetch(tmp_path / "downloads", plan, servers[-1].address)

    yield start
    for server in servers:
        server.__exit__(None, None, None)


Serve = Callable[[Plan], Fetch]


def test_fetches_once(serve: Serve) -> None:
    fetch = serve(Plan(CONTENT))
    assert fetch().read_bytes() == CONTENT
    assert fetch().read_bytes() == CONTENT
    assert fetch.plan.asked == [""]
    assert fetch.steps[-1] == Step(f"Fetching {FILE.filename}", len(CONTENT), len(CONTENT))
    assert not fetch.part.exists()


def test_resumes_within_one_run_where_the_connection_broke(serve: Serve) -> None:
    fetch = serve(Plan(CONTENT, cuts=[1_000_000, 500_000]))
    assert fetch().read_bytes() == CONTENT
    assert fetch.plan.asked == ["", "bytes=1000000-", "bytes=1500000-"]
    assert fetch.said("The connection broke at 1.5 MB")


def test_resumes_what_an_earlier_run_left(serve: Serve) -> None:
    fetch = serve(Plan(CONTENT))
    fetch.folder.mkdir()
    fetch.part.write_bytes(CONTENT[:2_000_000])
    assert fetch().read_bytes() == CONTENT
    assert fetch.plan.asked == ["bytes=2000000-"]
    assert fetch.steps[0].done == 2_000_000


def test_starts_over_where_the_server_knows_no_ranges(serve: Serve) -> None:
    fetch = serve(Plan(CONTENT, cuts=[1_000_000], ranges=False))
    assert fetch().read_bytes() == CONTENT


def test_gives_up_after_tries_without_progress_and_keeps_what_it_has(serve: Serve) -> None:
    fetch = serve(Plan(CONTENT, cuts=[1_000_000] + [0] * 20))
    with pytest.raises(CommandError, match=r"Fetching thing-1-py3-none-any\.whl failed: closed by the other side"):
        fetch()
    assert fetch.part.read_bytes() == CONTENT[:1_000_000]
    assert fetch.slept_s == [1, 2, 4, 8]


def test_a_server_error_is_tried_again(serve: Serve) -> None:
    fetch = serve(Plan(CONTENT, statuses=[503]))
    assert fetch().read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "todo"), [(401, "pip's settings"), (404, "")])
def test_a_refusal_is_not_tried_again(serve: Serve, status: int, todo: str) -> None:
    fetch = serve(Plan(CONTENT, statuses=[status]))
    with pytest.raises(CommandError, match=f"127.0.0.1 answered {status}") as caught:
        fetch()
    assert todo in caught.value.todo
    assert len(fetch.plan.asked) == 1


def test_a_file_damaged_on_disk_is_fetched_again(serve: Serve) -> None:
    fetch = serve(Plan(CONTENT))
    fetch.folder.mkdir()
    (fetch.folder / FILE.filename).write_bytes(CONTENT[:-1] + b"x")
    assert fetch().read_bytes() == CONTENT
    assert fetch.said("was damaged on disk")


@pytest.mark.parametrize("damaged", [b"x" * len(CONTENT), b"x" * 1000, b"x" * (len(CONTENT) + 1)])
def test_a_damaged_part_is_fetched_again(serve: Serve, damaged: bytes) -> None:
    fetch = serve(Plan(CONTENT))
    fetch.folder.mkdir()
    fetch.part.write_bytes(damaged)
    assert fetch().read_bytes() == CONTENT
    assert fetch.said("arrived damaged")


def test_other_content_is_refused_and_not_kept(serve: Serve) -> None:
    fetch = serve(Plan(CONTENT[::-1]))
    with pytest.raises(CommandError, match=r"from 127\.0\.0\.1 is not the file that Headgate knows"):
        fetch()
    assert list(fetch.folder.iterdir()) == []


def test_a_login_in_the_address_is_sent_and_never_shown(serve: Serve) -> None:
    fetch = serve(Plan(CONTENT, statuses=[0, 403]))
    fetch.login = "me:se%40cret@"
    fetch()
    assert fetch.plan.logins == ["Basic bWU6c2VAY3JldA=="]
    (fetch.folder / FILE.filename).unlink()
    with pytest.raises(CommandError) as caught:
        fetch()
    assert "cret" not in str(caught.value)


def test_a_file_address(tmp_path: Path) -> None:
    source = tmp_path / FILE.filename
    source.write_bytes(CONTENT)
    assert download(FILE, tmp_path / "downloads", where=lambda _: source.as_uri()).read_bytes() == CONTENT


def test_an_address_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="ftp"):
        download(FILE, tmp_path, where=lambda _: "ftp://127.0.0.1/x")


def test_a_folder_that_cannot_be_written_is_not_a_network_problem(serve: Serve) -> None:
    fetch = serve(Plan(CONTENT))
    fetch.folder.mkdir()
    fetch.part.mkdir()  # for root, permissions are no obstacle; a folder in the way is
    with pytest.raises(CommandError, match="Cannot write the download"):
        fetch()


def wheel(folder: Path) -> Path:
    """The smallest wheel that pip takes: thing 1."""
    import zipfile

    path = folder / FILE.filename
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("thing-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1\n")
        out.writestr(
            "thing-1.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        out.writestr("thing-1.dist-info/RECORD", "thing-1.dist-info/METADATA,,\nthing-1.dist-info/WHEEL,,\n")
    return path


def with_pip_settings(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def test_pip_says_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = wheel(tmp_path)
    with_pip_settings(monkeypatch, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path), PIP_CONFIG_FILE=os.devnull)
    assert module.locate(FILE) == path.as_uri()


def test_pip_finds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_pip_settings(monkeypatch, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path), PIP_CONFIG_FILE=os.devnull)
    with pytest.raises(CommandError, match="pip could not find thing==1: ERROR: No matching distribution"):
        module.locate(FILE)
