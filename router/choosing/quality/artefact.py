"""The file of a trained predictor: one .npz without pickle, a JSON header inside. An edge: it reads and writes files.

Owns the format and what is refused. The header names the format, the way of reading text, the pools, and a SHA-256 over all
arrays and the header itself; a file that is damaged anywhere is refused as a whole. Sizes are checked before it is unpacked.
"""

import hashlib
import io
import os
import tempfile
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from router.choosing.quality.form import NUMBERS
from router.choosing.quality.model import PART_NAMES, Parts, QualityModel, shapes
from router.choosing.quality.text import SPEC

FORMAT: Final = 1
LARGEST_BYTES: Final = 256 * 1024 * 1024
MOST_POOLS: Final = 1024

_DEEPEST: Final = 32
_MOST_TREES: Final = 1024
_HEADER: Final = "header.json"
_LONGEST_HEADER: Final = 4 * 1024 * 1024
_KINDS: Final = {"slots": "<u4", "vectors": "<f4", **dict.fromkeys(("step_of", "roots", "node_of", "children", "depth"), "<i8")}
_MAY_BE_EMPTY: Final = frozenset({"step_of", "step_at", "step_weights"})
_MAY_BE_NAN: Final = frozenset({"token_weights", "token_range"})
# A zip entry of 1980: the same content gives the same bytes.
_NO_DATE: Final = (1980, 1, 1, 0, 0, 0)


class ArtefactRefused(Exception):
    """The file can't be used as a predictor; the text names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class About:
    """What a person wants to know of an artefact; nothing of it changes a prediction.

    trained_at   time of training, ISO 8601, as the caller says; empty: not told
    rows         prompts it was trained on
    calibration  expected calibration error of each pool, cross-validated
    notes        what the fit found worth saying
    """

    trained_at: str = ""
    rows: int = 0
    seed: int = 0
    calibration: dict[str, float] = field(default_factory=dict)
    domains: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Artefact:
    model: QualityModel
    about: About


def write(path: Path, pools: tuple[str, ...], parts: Parts, about: About) -> str:
    """Writes the whole file or nothing (temporary file beside it, then renamed); returns its version. Raises OSError."""
    data, version = pack(pools, parts, about)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return version


def pack(pools: tuple[str, ...], parts: Parts, about: About) -> tuple[bytes, str]:
    """The file's bytes and its version. The same arguments give the same bytes."""
    arrays = {name: np.ascontiguousarray(getattr(parts, name), dtype=_KINDS.get(name, "<f8")) for name in PART_NAMES}
    header: dict[str, Any] = {"format": FORMAT, "spec": SPEC, "pools": list(pools), "about": asdict(about)}
    header["digest"] = _digest(header, arrays)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.writestr(zipfile.ZipInfo(_HEADER, _NO_DATE), orjson.dumps(header, option=orjson.OPT_SORT_KEYS))
        for name, array in arrays.items():
            entry = io.BytesIO()
            np.save(entry, array, allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", _NO_DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, entry.getvalue())
    return out.getvalue(), version_of(header["digest"])


def read(path: Path) -> QualityModel:
    """The predictor in the file. Raises ArtefactRefused."""
    return open_artefact(path).model


def open_artefact(path: Path) -> Artefact:
    """The predictor and what is said about it. Raises ArtefactRefused."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as fault:
        raise ArtefactRefused(f"{path}: {fault.strerror or fault}") from fault
    if len(data) > LARGEST_BYTES:
        raise ArtefactRefused(f"{path}: larger than {LARGEST_BYTES >> 20} MiB")
    try:
        return unpack(data)
    except ArtefactRefused as refused:
        raise ArtefactRefused(f"{path}: {refused}") from refused


def unpack(data: bytes) -> Artefact:
    """As `open_artefact`, of the file's bytes."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            header, arrays = _entries(archive)
    except ArtefactRefused:
        raise
    except Exception as fault:  # zipfile and numpy's reader raise whatever the bytes lead them to
        raise ArtefactRefused(f"not an artefact, or damaged ({type(fault).__name__})") from fault
    pools = tuple(header["pools"])
    if header.get("digest") != _digest(header, arrays):
        raise ArtefactRefused("damaged: its digest is another one")
    parts = Parts(**arrays)
    _check(pools, parts)
    return Artefact(QualityModel(version_of(header["digest"]), pools, parts), _about(header.get("about", {})))


def version_of(digest: str) -> str:
    return digest[:12]


def _entries(archive: zipfile.ZipFile) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    wanted = {_HEADER, *(f"{name}.npy" for name in PART_NAMES)}
    entries = {info.filename: info for info in archive.infolist()}
    if _HEADER not in entries:
        raise ArtefactRefused("not an artefact: it has no header")
    if entries[_HEADER].file_size > _LONGEST_HEADER or sum(info.file_size for info in entries.values()) > LARGEST_BYTES:
        raise ArtefactRefused(f"unpacked it would be larger than {LARGEST_BYTES >> 20} MiB")
    header = orjson.loads(archive.read(_HEADER))
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = header.get("format") if isinstance(header, dict) else None
        raise ArtefactRefused(f"format {found!r}, {FORMAT} expected: train it again with this release")
    if header.get("spec") != SPEC:
        raise ArtefactRefused(f"it reads text as {header.get('spec')!r}, {SPEC!r} expected: train it again with this release")
    if set(entries) != wanted or len(archive.infolist()) != len(wanted):
        raise ArtefactRefused("its entries are not those of an artefact")
    pools = header.get("pools")
    if not isinstance(pools, list) or not all(isinstance(pool, str) and pool for pool in pools):
        raise ArtefactRefused("pools: names expected")
    if not 1 <= len(pools) <= MOST_POOLS or len(set(pools)) != len(pools):
        raise ArtefactRefused(f"pools: 1 to {MOST_POOLS} distinct names expected")
    arrays = {}
    for name in PART_NAMES:
        array: NDArray[Any] = np.load(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)
        if not isinstance(array, np.ndarray) or array.dtype != np.dtype(_KINDS.get(name, "<f8")):
            raise ArtefactRefused(f"{name}: an array of {_KINDS.get(name, '<f8')} expected")
        array.setflags(write=False)
        arrays[name] = array
    return header, arrays


def _digest(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> str:
    told = {key: value for key, value in header.items() if key != "digest"}
    sha = hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS))
    for name in PART_NAMES:
        array = arrays[name]
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()


def _check(pools: tuple[str, ...], parts: Parts) -> None:
    """A digest that is right proves only that the file is as it was written."""
    two, one = ("vectors", "basis", "domain_scores"), ("slots", "step_of", "roots", "node_of")
    if any(getattr(parts, name).ndim != 2 for name in two) or any(getattr(parts, name).ndim != 1 for name in one):
        raise ArtefactRefused("an array has a wrong number of dimensions")
    for name, shape in shapes(len(pools), parts).items():
        found = getattr(parts, name).shape
        if found != shape or (0 in found and name not in _MAY_BE_EMPTY):
            raise ArtefactRefused(f"{name}: shape {found}, {shape} expected")
        if name not in _MAY_BE_NAN and not np.isfinite(getattr(parts, name)).all():
            raise ArtefactRefused(f"{name}: not a finite number")
    if len(parts.slots) < 2 or int(parts.slots.max()) >= len(parts.vectors):
        raise ArtefactRefused("slots: a row that is not there")
    _check_forest(parts)
    if len(parts.step_of) and not 0 <= int(parts.step_of.min()) <= int(parts.step_of.max()) < NUMBERS:
        raise ArtefactRefused("step_of: a number that is not there")
    if (parts.scale <= 0).any() or (parts.near <= 0).any():
        raise ArtefactRefused("scale, near: above 0 expected")
    if (parts.prior < 0).any() or (parts.prior > 1).any():
        raise ArtefactRefused("prior: 0 to 1 expected")


def _check_forest(parts: Parts) -> None:
    nodes, features = len(parts.node_of), NUMBERS + parts.vectors.shape[1] + 1 + parts.basis.shape[0]
    for name, below in (("roots", nodes), ("node_of", features), ("children", nodes)):
        values = getattr(parts, name)
        if int(values.min()) < 0 or int(values.max()) >= below:
            raise ArtefactRefused(f"{name}: a place that is not there")
    if not 0 <= parts.depth.item(0) <= _DEEPEST or len(parts.roots) > _MOST_TREES:
        raise ArtefactRefused(f"depth, roots: at most {_DEEPEST} steps in {_MOST_TREES} trees are walked")


def _about(told: dict[str, Any]) -> About:
    return About(
        trained_at=str(told.get("trained_at", "")),
        rows=int(told.get("rows", 0)),
        seed=int(told.get("seed", 0)),
        calibration={str(key): float(value) for key, value in dict(told.get("calibration", {})).items()},
        domains=tuple(map(str, told.get("domains", ()))),
        notes=tuple(map(str, told.get("notes", ()))),
    )
