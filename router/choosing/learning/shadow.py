"""A second artefact, asked beside the one that serves and never obeyed: how the two compare. Pure; no I/O, no clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pair:
    """One request under both artefacts: what each would choose, and what each expects of its own choice."""

    pool: str
    shadow_pool: str
    quality: float
    shadow_quality: float
    cost_usd: float
    shadow_cost_usd: float


@dataclass(frozen=True, slots=True)
class ShadowFigures:
    """`quality_gain` and `saved_usd` are the shadow's choices against ours, each by its own predictions, mean per request.
    `brier` and `shadow_brier` are of the same outcomes, those of pools that we chose. Figures are 0 while there are none.
    """

    version: str = ""
    requests: int = 0
    agreement: float = 0.0
    quality_gain: float = 0.0
    saved_usd: float = 0.0
    outcomes: int = 0
    brier: float = 0.0
    shadow_brier: float = 0.0


class ShadowBook:
    """Of one shadow, from its loading on; `follow` starts anew."""

    def __init__(self) -> None:
        self.follow("")

    def follow(self, version: str) -> None:
        """Another artefact is the shadow; "" is none."""
        self._version = version
        self._requests = self._agreed = self._outcomes = 0
        self._gain = self._saved_usd = self._loss = self._shadow_loss = 0.0

    def decided(self, pair: Pair) -> None:
        self._requests += 1
        self._agreed += pair.pool == pair.shadow_pool
        self._gain += pair.shadow_quality - pair.quality
        self._saved_usd += pair.cost_usd - pair.shadow_cost_usd

    def judged(self, version: str, expected: float, shadow_expected: float, score: float) -> None:
        """The outcome of a pool that we chose, of which the two expected this much. Another version's are not counted."""
        if version != self._version:
            return
        self._outcomes += 1
        self._loss += (score - expected) ** 2
        self._shadow_loss += (score - shadow_expected) ** 2

    def figures(self) -> ShadowFigures:
        requests, outcomes = max(self._requests, 1), max(self._outcomes, 1)
        return ShadowFigures(
            self._version,
            self._requests,
            self._agreed / requests,
            self._gain / requests,
            self._saved_usd / requests,
            self._outcomes,
            self._loss / outcomes,
            self._shadow_loss / outcomes,
        )
