"""Artefacts on the disk: taken whole or not at all, noticed however they change, and stepped back from."""

import asyncio
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from router.choosing.features import Features
from router.choosing.learning.learning import Learning
from router.choosing.learning.shadow import ShadowBook
from router.choosing.quality.artefact import ArtefactRefused, read, write
from router.choosing.quality.prediction import Prediction
from router.config import PredictorSettings
from router.predictor_files import PredictorFiles
from router.snapshot import Floats
from training.fit.fitting import fit
from training.outcomes.table import Outcomes


@dataclass(frozen=True)
class Stub:
    """Its version is the file's text."""

    version: str
    pools: tuple[str, ...] = ("small", "large")
    domains: int = 1

    @property
    def prior(self) -> Floats:
        return np.array([0.5, 0.7])

    def predict(self, features: Features) -> Prediction:
        return Prediction(self.prior, np.full(2, 0.1), np.zeros(2))


def read_stub(path: Path) -> Stub:
    text = path.read_text()
    if text.startswith("bad"):
        raise ArtefactRefused(f"{path}: {text}")
    if text.startswith("worse"):
        raise ZeroDivisionError
    return Stub(text)


class Setting:
    def __init__(self, folder: Path, *, shadow: bool = False) -> None:
        self.path = folder / "artefact.npz"
        self.shadow = folder / "shadow.npz"
        self.learning, self.book = Learning(), ShadowBook()
        settings = PredictorSettings(path=self.path, shadow=self.shadow if shadow else None, reload_s=1.0)
        self.files = PredictorFiles(settings, self.learning, self.book, read_stub)
        self.written = 0

    def write(self, text: str, path: Path | None = None) -> None:
        """As a careful writer does it: a new file in the old one's place."""
        path = path or self.path
        self.written += 1
        draft = path.with_suffix(f".{self.written}")
        draft.write_text(text)
        draft.replace(path)

    @property
    def version(self) -> str:
        return self.files.current.version if self.files.current else ""


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def test_without_a_path_there_is_no_predictor_and_no_word_about_it(caplog: pytest.LogCaptureFixture) -> None:
    files = PredictorFiles(PredictorSettings(), Learning(), ShadowBook())
    files.start()
    assert files.current is files.shadow is None
    assert caplog.messages == []


def test_what_is_there_at_the_start_serves(setting: Setting) -> None:
    setting.write("v1")
    setting.files.start()
    assert setting.version == setting.learning.version == "v1"
    assert setting.files.figures().current == "v1"


async def test_a_file_that_is_missing_at_the_start_is_said_and_taken_when_it_comes(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    setting.files.start()
    assert setting.files.current is None
    assert "the rule chooses" in caplog.text
    assert "No such file" in caplog.text
    setting.write("v1")
    await setting.files.look()
    assert setting.version == "v1"


async def test_a_new_one_takes_over_and_the_old_one_is_kept(setting: Setting) -> None:
    setting.write("v1")
    setting.files.start()
    setting.write("v2")
    await setting.files.look()
    figures = setting.files.figures()
    assert (figures.current, figures.previous, figures.failures) == ("v2", "v1", 0)
    assert setting.learning.version == "v2"


async def test_a_bad_one_is_refused_once_and_the_good_one_stays(setting: Setting, caplog: pytest.LogCaptureFixture) -> None:
    setting.write("v1")
    setting.files.start()
    setting.write("bad: digest")
    for _ in range(3):
        await setting.files.look()
    assert setting.version == "v1"
    assert setting.files.figures().failures == 1
    assert len([line for line in caplog.messages if "bad: digest" in line]) == 1
    assert caplog.text.count(str(setting.path)) == 1
    setting.write("v2")
    await setting.files.look()
    assert setting.version == "v2"


async def test_whatever_a_file_does_to_its_reader_the_router_goes_on(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    setting.write("v1")
    setting.files.start()
    setting.write("worse than bad")
    await setting.files.look()
    assert setting.version == "v1"
    assert "ZeroDivisionError" in caplog.text


async def test_a_file_that_goes_leaves_the_predictor(setting: Setting, caplog: pytest.LogCaptureFixture) -> None:
    setting.write("v1")
    setting.files.start()
    setting.path.unlink()
    await setting.files.look()
    await setting.files.look()
    assert setting.version == "v1"
    assert setting.files.figures().failures == 1
    assert len([line for line in caplog.messages if "what was there stays" in line]) == 1


async def test_a_config_map_that_is_swapped_by_its_links_is_noticed(tmp_path: Path) -> None:
    """As the kubelet does it: artefact.npz → ..data/artefact.npz, ..data → a dated folder, and ..data is renamed over."""
    for name, text in (("..one", "v1"), ("..two", "v2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "artefact.npz").write_text(text)
        os.utime(tmp_path / name / "artefact.npz", (1, 1))  # same size, same date
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "artefact.npz").symlink_to("..data/artefact.npz")
    setting = Setting(tmp_path)
    setting.files.start()
    assert setting.version == "v1"
    (tmp_path / "..new").symlink_to("..two")
    (tmp_path / "..new").replace(tmp_path / "..data")
    await setting.files.look()
    assert setting.version == "v2"


async def test_the_same_content_again_is_no_news(setting: Setting) -> None:
    setting.write("v1")
    setting.files.start()
    learner = setting.learning.learner
    setting.write("v1")
    await setting.files.look()
    assert setting.learning.learner is learner
    assert setting.files.figures().previous == ""


async def test_what_is_unchanged_is_not_read_again(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    setting.write("v1")
    setting.files.start()
    reads: list[Path] = []
    monkeypatch.setattr(setting.files._main, "_read", reads.append)
    await setting.files.look()
    assert reads == []


async def test_steps_back_go_to_the_artefact_before_then_to_the_rule(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    setting.write("v1")
    setting.files.start()
    setting.write("v2")
    await setting.files.look()
    learning = setting.learning
    learning.drop_learning("a test")
    assert (setting.version, learning.standing) == ("v2", "artefact")
    learning.drop_artefact("a test")
    assert (setting.version, learning.version, learning.standing) == ("v1", "v1", "previous")
    await setting.files.look()
    assert setting.version == "v1"  # the file, unchanged, does not bring v2 back
    learning.drop_artefact("a test")
    assert (setting.files.current, learning.version, learning.standing) == (None, "", "rule")
    assert setting.files.figures().dropped == 2
    assert "drift: artefact v2 is set aside" in caplog.text
    setting.write("v2")  # the same once more: no new artefact
    await setting.files.look()
    assert setting.files.current is None
    setting.write("v3")
    await setting.files.look()
    assert (setting.version, learning.standing) == ("v3", "learning")


async def test_the_shadow_is_loaded_beside_it_and_never_serves(tmp_path: Path) -> None:
    setting = Setting(tmp_path, shadow=True)
    setting.write("v1")
    setting.write("s1", setting.shadow)
    setting.files.start()
    assert setting.version == setting.learning.version == "v1"
    assert setting.files.shadow is not None
    assert setting.files.figures().shadow == setting.book.figures().version == "s1"
    setting.write("bad: shadow", setting.shadow)
    await setting.files.look()
    assert setting.files.figures().shadow == "s1"
    setting.write("s2", setting.shadow)
    await setting.files.look()
    assert setting.book.figures().version == "s2"


async def test_run_looks_again_and_again(setting: Setting) -> None:
    settings = PredictorSettings(path=setting.path, reload_s=0.001)
    setting.files = PredictorFiles(settings, setting.learning, setting.book, read_stub)
    setting.files.start()
    task = asyncio.create_task(setting.files.run())
    for version in ("v1", "v2"):
        setting.write(version)
        while setting.version != version:
            await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_real_reader_refuses_what_is_no_artefact(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "artefact.npz"
    path.write_bytes(b"PK nonsense")
    with caplog.at_level(logging.WARNING):
        files = PredictorFiles(PredictorSettings(path=path), Learning(), ShadowBook(), read)
        files.start()
    assert files.current is None
    assert files.figures().failures == 1
    assert "not an artefact" in caplog.text


async def test_real_artefacts_are_loaded_and_exchanged(tmp_path: Path) -> None:
    """What `headgate train` writes, read as the router reads it."""
    prompts = tuple(f"question {at}: how many words are in a book of {at} pages?" for at in range(60))
    rng, path = np.random.default_rng(1), tmp_path / "artefact.npz"
    learning = Learning()
    files = PredictorFiles(PredictorSettings(path=path), learning, ShadowBook())
    versions = []
    for seed in (1, 2):
        outcomes = Outcomes(prompts, ("small", "large"), rng.random((60, 2)).round())
        fitted = fit(outcomes, seed)
        write(path, outcomes.pools, fitted.parts, fitted.about)
        await files.look()
        assert files.current is not None
        versions.append(files.current.version)
        prediction = files.current.predict(Features(20, 100, window=prompts[0].encode()))
        seen = learning.context(Features(20, 100), prediction)
        belief = learning.belief(files.current.pools, prediction.quality, prediction.uncertainty, seen)
        assert belief.mean == pytest.approx(prediction.quality.clip(0, 1))
    assert versions[0] != versions[1] == learning.version
    assert files.figures().previous == versions[0]
