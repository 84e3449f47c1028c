import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.choosing.quality import artefact
from router.choosing.quality.artefact import About, ArtefactRefused, pack, read, unpack, write
from router.choosing.quality.model import PART_NAMES, Parts
from tests.router.choosing.quality.small import POOLS, small_parts
from training.outcomes.table import read_features

ABOUT = About("2026-01-01T00:00:00Z", 12, 3, {"a": 0.02}, ("x", "y"), ("a note",))
DATA, VERSION = pack(POOLS, small_parts(), ABOUT)
PROMPTS = [read_features(text) for text in ("Which of 2 and 3 is more?", "def f(x): return x", "何ですか", "")]
SAID = [unpack(DATA).model.predict(each) for each in PROMPTS]


def edited(**entries: bytes) -> bytes:
    """The artefact with some entries replaced, header included, and no more care than that."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(DATA)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            key = name.replace(".", "_")
            new.writestr(name, entries.get(key, old.read(name)))
    return out.getvalue()


def header(**changes: object) -> bytes:
    with zipfile.ZipFile(io.BytesIO(DATA)) as old:
        return orjson.dumps({**orjson.loads(old.read("header.json")), **changes})


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.hg"
    version = write(path, POOLS, small_parts(), ABOUT)
    told = artefact.open_artefact(path)
    assert told.about == ABOUT
    assert (told.model.version, told.model.pools) == (version, POOLS)
    for name in PART_NAMES:
        assert np.array_equal(getattr(told.model.parts, name), getattr(small_parts(), name), equal_nan=True), name
    assert read(path).version == version
    assert [each.name for each in tmp_path.iterdir()] == ["model.hg"]


def test_the_same_content_has_the_same_bytes_and_other_content_another_version() -> None:
    assert pack(POOLS, small_parts(), ABOUT)[0] == DATA
    other = replace(small_parts(), prior=np.array([0.5, 0.5]))
    assert pack(POOLS, other, ABOUT)[1] != VERSION


def test_an_old_file_stays_whole_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.hg"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("router.choosing.quality.artefact.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(path, POOLS, small_parts(), ABOUT)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["model.hg"]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_changes_nothing(at: int, by: int) -> None:
    broken = bytearray(DATA)
    broken[at] ^= by
    try:
        model = unpack(bytes(broken)).model
    except ArtefactRefused:
        return
    for features, said in zip(PROMPTS, SAID, strict=True):
        assert np.array_equal(model.predict(features).quality, said.quality)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(DATA) - 1))
def test_a_shortened_file_is_refused(size: int) -> None:
    with pytest.raises(ArtefactRefused):
        unpack(DATA[:size])


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(ArtefactRefused):
        unpack(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99, 1 expected"),
        ({"spec": "words-0"}, "reads text as 'words-0'"),
        ({"pools": []}, "pools: 1 to"),
        ({"pools": ["a", "a"]}, "distinct names"),
        ({"pools": [1, 2]}, "pools: names expected"),
        ({"digest": "00"}, "damaged"),
        ({"about": {"rows": 99}}, "damaged"),
    ],
)
def test_a_header_that_is_wrong_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ArtefactRefused, match=message):
        unpack(edited(header_json=header(**change)))


def changed(**arrays: object) -> Parts:
    return replace(small_parts(), **arrays)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (changed(prior=np.array([0.1, np.nan])), "prior: not a finite number"),
        (changed(prior=np.array([0.1, 1.5])), "prior: 0 to 1 expected"),
        (changed(prior=np.array([0.1])), "prior: shape"),
        (changed(basis=np.zeros(2)), "number of dimensions"),
        (changed(slots=np.full(16, 9, dtype=np.uint32)), "slots: a row"),
        (changed(slots=np.zeros(15, dtype=np.uint32)), "slots: shape"),
        (changed(step_of=np.array([10_000, 0])), "step_of: a number"),
        (changed(scale=np.zeros(len(small_parts().scale))), "above 0"),
        (changed(children=np.array([0, 7, 1, 1, 2, 2])), "children: a place"),
        (changed(node_of=np.array([10_000, 0, 0])), "node_of: a place"),
        (changed(depth=np.array([1000])), "at most 32 steps"),
        (changed(step_weights=np.full((2, 2), np.inf)), "step_weights: not a finite"),
    ],
)
def test_arrays_that_do_not_fit_are_named_though_the_digest_is_right(parts: Parts, message: str) -> None:
    with pytest.raises(ArtefactRefused, match=message):
        unpack(pack(POOLS, parts, ABOUT)[0])


def test_a_file_too_large_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.hg"
    path.write_bytes(DATA)
    monkeypatch.setattr(artefact, "LARGEST_BYTES", len(DATA) - 1)
    with pytest.raises(ArtefactRefused, match="larger than"):
        read(path)
    monkeypatch.setattr(artefact, "LARGEST_BYTES", len(DATA) + 1)  # small packed, large unpacked
    with pytest.raises(ArtefactRefused, match="unpacked"):
        read(path)


def test_no_file_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ArtefactRefused, match=r"absent\.hg: No such file"):
        read(tmp_path / "absent.hg")
    with pytest.raises(ArtefactRefused, match="Is a directory"):
        read(tmp_path)


def test_objects_are_never_unpickled() -> None:
    entry = io.BytesIO()
    np.save(entry, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ArtefactRefused):
        unpack(edited(prior_npy=entry.getvalue()))
