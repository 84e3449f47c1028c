"""The whole of a report, as values: what was trained on, how it does on known and unseen domains, and what to distrust."""

from dataclasses import dataclass

from training.report.slices import Slice
from training.report.verdict import Verdict

_LARGE_ERROR = 0.1


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """Of one pool in the outcomes; NaN where nothing is told."""

    name: str
    answers: int
    mean_quality: float
    mean_cost_usd: float
    mean_output_tokens: float


@dataclass(frozen=True, slots=True)
class Findings:
    """Of one run of `headgate train`.

    tested    how the figures of `seen` were come by, in words
    unseen    None where the outcomes name fewer than three domains
    warnings  of the outcomes; notes: of the fit
    """

    version: str
    files: tuple[str, ...]
    rows: int
    prompts: int
    domains: int
    pools: tuple[PoolFacts, ...]
    tested: str
    seen: Verdict
    unseen: Verdict | None
    slices: tuple[Slice, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def distrusted(self) -> tuple[Slice, ...]:
        return tuple(each for each in self.slices if each.distrusted)


def distrust_of(findings: Findings) -> tuple[str, ...]:
    """Plain sentences on where the predictor must not be trusted; none where nothing was found."""
    said = []
    for each in findings.distrusted:
        reasons = []
        if each.worse:
            reasons.append(f"choosing loses {-100 * each.difference:.1f} points of quality against the best fixed choice")
        if each.misjudged:
            direction = "high" if each.off > 0 else "low"
            reasons.append(f"predictions are {100 * abs(each.off):.1f} points too {direction}")
        if each.unknown:
            reasons.append(f"trust is only {each.trust:.2f}")
        said.append(f"{each.name} ({each.prompts:,} prompts): {'; '.join(reasons)}")
    choice = findings.seen.choice
    if choice and not choice.reached:
        said.append("the quality of the best fixed choice is never reached at less than always taking it: nothing is saved")
    said += _unseen(findings.unseen) if findings.unseen else []
    if findings.unseen is None:
        said.append("domains that the outcomes do not cover: not tested, because the outcomes name fewer than three domains")
    if findings.seen.low_trust > 0.1:
        said.append(f"{findings.seen.low_trust:.0%} of the tested prompts have a trust below 0.5")
    return tuple(said)


def _unseen(unseen: Verdict) -> list[str]:
    """What goes wrong on domains that the outcomes do not cover, and whether trust would tell."""
    where, said = "domains that the outcomes do not cover", []
    if unseen.choice and unseen.choice.aiq[0] < unseen.choice.aiq[1]:
        said.append(f"{where}: choosing is worse there than drawing lots between fixed choices")
    if unseen.error > _LARGE_ERROR and unseen.low_trust < 0.5:
        told = f"trust does not tell: it is below 0.5 on {unseen.low_trust:.0%} of such prompts"
        said.append(f"{where}: predictions are far off there (ECE {unseen.error:.2f}), and {told}")
    return said
