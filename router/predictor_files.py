"""Loads artefacts and notices new ones: what predicts now, what is tried in the shadow, and what there was before.

A file is taken whole or not at all, read in a thread, and the one before it stays where it can't be taken. Its place, size and
date are compared through symbolic links, so a ConfigMap that Kubernetes swaps is noticed.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from router.choosing.learning.learning import Learning, Step
from router.choosing.learning.shadow import ShadowBook
from router.choosing.quality.artefact import ArtefactRefused, read
from router.choosing.quality.prediction import Predictor
from router.config import PredictorSettings

log = logging.getLogger(__name__)

Read = Callable[[Path], Predictor]


@dataclass(frozen=True, slots=True)
class PredictorFigures:
    """Versions are "" where there is none. `failures` counts files that were not taken, each change of one once.

    dropped   versions that were set aside for drift
    """

    current: str
    previous: str
    shadow: str
    failures: int
    dropped: int


class _Watched:
    """One path. Says each change once, be it good or bad."""

    def __init__(self, path: Path, what: str, read: Read) -> None:
        self._path = path
        self._what = what
        self._read = read
        self._seen: tuple[int, ...] | None = None
        self._complaint = ""
        self.failures = 0

    async def look(self) -> Predictor | None:
        """What is there, if it is new and good."""
        return await asyncio.to_thread(self.look_now)

    def look_now(self) -> Predictor | None:
        try:
            found = self._path.stat()
            seen = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
            if seen == self._seen:
                return None
            predictor = self._read(self._path)
        except OSError as fault:
            self._seen = None  # it may come back just as it was
            self._failed(f"{self._path}: {fault.strerror or type(fault).__name__}")
            return None
        except ArtefactRefused as fault:
            self._seen = seen
            self._failed(str(fault))
            return None
        except Exception as fault:  # noqa: BLE001 - no file may stop a router that serves
            self._seen = seen
            self._failed(f"{self._path}: {type(fault).__name__}")
            return None
        self._seen, self._complaint = seen, ""
        return predictor

    def _failed(self, text: str) -> None:
        if text != self._complaint:
            self.failures += 1
            log.warning("%s is not taken, what was there stays: %s", self._what, text)
        self._complaint = text


class PredictorFiles:
    """`start` before serving, then `run` until cancelled. Used from the event loop.

    Keeps `learning` on the artefact that serves, and answers its steps back.
    """

    def __init__(self, settings: PredictorSettings, learning: Learning, book: ShadowBook, read: Read = read) -> None:
        self._reload_s = settings.reload_s
        self._main = _Watched(settings.path, "the artefact", read) if settings.path else None
        self._second = _Watched(settings.shadow, "the shadow artefact", read) if settings.shadow else None
        self._learning = learning
        self._book = book
        self._previous: Predictor | None = None
        self._newest = ""  # version that the file had last, whether or not it still serves
        self._dropped = 0
        self.current: Predictor | None = None
        self.shadow: Predictor | None = None
        learning.on_step = self._stepped

    def start(self) -> None:
        """Reads what is there, in this thread. Without a good file the rule serves, and the log says so."""
        if self._main is not None:
            self._take(self._main.look_now())
        if self._second is not None:
            self._take_shadow(self._second.look_now())
        if self._main is not None and self.current is None:
            log.warning("no artefact could be read; the rule chooses until there is one")

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._reload_s)
            await self.look()

    async def look(self) -> None:
        """Takes what is new."""
        if self._main is not None:
            self._take(await self._main.look())
        if self._second is not None:
            self._take_shadow(await self._second.look())

    def figures(self) -> PredictorFigures:
        failures = sum(each.failures for each in (self._main, self._second) if each is not None)
        versions = [each.version if each else "" for each in (self.current, self._previous, self.shadow)]
        return PredictorFigures(versions[0], versions[1], versions[2], failures, self._dropped)

    def _take(self, found: Predictor | None) -> None:
        if found is None or found.version == self._newest:  # the same content again, such as a remounted folder, is no news
            return
        if self.current is not None:
            self._previous = self.current
        self.current, self._newest = found, found.version
        self._learning.follow(found.version)
        log.info("artefact %s serves, for pools %s", found.version, ", ".join(found.pools))

    def _take_shadow(self, found: Predictor | None) -> None:
        if found is None or (self.shadow is not None and found.version == self.shadow.version):
            return
        self.shadow = found
        self._book.follow(found.version)
        log.info("artefact %s is tried in the shadow", found.version)

    def _stepped(self, step: Step) -> None:
        log.warning("drift: %s", step.text)
        if step.kind != "artefact_dropped":
            return
        self._dropped += 1
        self.current, self._previous = self._previous, None
        if self.current is None:
            self._learning.follow("", "rule")
            log.warning("drift: the rule chooses until there is a new artefact")
        else:
            self._learning.follow(self.current.version, "previous")
            log.warning("drift: artefact %s serves again", self.current.version)
