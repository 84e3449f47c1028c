"""Is this answer good enough to be passed on? From the evidence that a policy asks for to a confidence, 0 to 1, and a sentence.

A broken form is 0 whatever the evidence says. A refusal ("I can't help with that") is no evidence: it may be the right answer,
the stronger model mostly refuses too, and a caller who can make a small model refuse could spend the tenant's money at will.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from router.choosing.evidence.agreement import final_answer, majority
from router.choosing.evidence.form import fault_of
from router.choosing.evidence.sample import Sample
from router.choosing.evidence.tokens import WINDOW_TOKENS, least_probability, mean_probability
from router.fleet.specs import CascadeSpec
from router.request import Request

CUT_WEIGHT = 0.5  # of the confidence in an answer that ran into the caller's own max_tokens


@dataclass(frozen=True, slots=True)
class Weighed:
    """confidence   None: there is no evidence
    said         what the confidence is, such as "its mean token probability"; or why there is none
    broken       how the answer breaks the form asked for, such as "was not JSON"; then nothing else counts
    winner       of several samples, the one to pass on; None: all choices are the caller's
    """

    confidence: float | None
    said: str = ""
    winner: int | None = None
    broken: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """`why` holds the figures, such as "its mean token probability was 0.41 < 0.55"."""

    accepted: bool
    why: str
    confidence: float | None = None
    winner: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """All that is known of a finished stage.

    samples     tries at one answer where evidence `agreement` draws several, else the caller's own n choices
    earlier     answers of the pools that were asked before, one of each
    cut_by_us   the caller set no max_tokens, so an answer that ran into ours is not what was asked for
    """

    asked: Request
    samples: Sequence[Sample]
    earlier: Sequence[Sample] = ()
    cut_by_us: bool = False


def draws_samples(spec: CascadeSpec, asked: Request) -> bool:
    """Whether a pool is asked several times for one answer, of which the majority's is passed on."""
    return spec.evidence == "agreement" and spec.samples > 1 and asked.n == 1


def compares_pools(spec: CascadeSpec, asked: Request) -> bool:
    """Whether each pool is asked once, and an answer stands when two pools say it."""
    return spec.evidence == "agreement" and spec.samples == 1 and asked.n == 1


def weigh(spec: CascadeSpec, told: Told) -> Weighed:
    """What the answers themselves say; for evidence `verifier` only if their form is right. Of n choices the weakest counts."""
    if draws_samples(spec, told.asked):
        return _of_votes(told)
    for sample in told.samples:
        if fault := _fault(sample, told):
            return Weighed(0.0, broken=fault)
    if compares_pools(spec, told.asked):
        return _of_pools(told)
    if spec.evidence == "verifier":
        return Weighed(None, "no verifier has judged it")
    return _of_tokens(told.samples)


def judge(weighed: Weighed, spec: CascadeSpec, prior: float | None) -> Judgement:
    """Compares with the policy's threshold. Without evidence the predicted quality `prior` stands in for it; without that too
    the answer is taken for weak: quality is what a cascade promises, and its cost is bounded elsewhere.
    """
    if weighed.broken:
        return Judgement(False, f"it {weighed.broken}", 0.0, weighed.winner)
    confidence, said = weighed.confidence, weighed.said
    if confidence is None and prior is not None:
        confidence, said = prior, f"{said}, and its predicted quality"
    if confidence is None:
        return Judgement(False, f"{said}, and nothing was predicted", None, weighed.winner)
    accepted = confidence >= spec.min_confidence
    sign = "≥" if accepted else "<"
    return Judgement(accepted, f"{said} was {confidence:.2f} {sign} {spec.min_confidence:g}", confidence, weighed.winner)


def verified(score: float | None, samples: Sequence[Sample]) -> Weighed:
    """What a verifier's score comes to; None where it gave none."""
    if score is None:
        return Weighed(None, "its verifier gave no score")
    return _unless_cut(Weighed(score, "its verifier's score"), samples)


def _of_tokens(samples: Sequence[Sample]) -> Weighed:
    found = [mean_probability(sample.logprobs) for sample in samples]
    told = [value for value in found if value is not None]
    if len(told) < len(found):
        return Weighed(None, "its engine told no token probabilities")
    weakest = min(range(len(told)), key=told.__getitem__)
    logprobs = samples[weakest].logprobs
    said = "its mean token probability"
    if len(logprobs) > WINDOW_TOKENS:
        said += f" ({least_probability(logprobs):.2f} over its weakest {WINDOW_TOKENS} tokens)"
    return _unless_cut(Weighed(told[weakest], said), samples)


def _of_votes(told: Told) -> Weighed:
    """Who asked for the likeliest answer (temperature 0) gets that one or none."""
    vote = majority(_answers(told.samples, told), anchored=told.asked.sampling.greedy)
    winner = told.samples[vote.winner]
    if fault := _fault(winner, told):
        return Weighed(0.0, "", vote.winner, fault)
    weighed = _unless_cut(Weighed(vote.share, f"the share of its {len(told.samples)} samples that agree"), [winner])
    return replace(weighed, winner=vote.winner)


def _of_pools(told: Told) -> Weighed:
    """How many of the pools asked so far say what this one says. One alone proves nothing, however few were asked."""
    if not told.earlier:
        return Weighed(0.0, "its agreement with no other pool")
    mine, *others = _answers((*told.samples, *told.earlier), told)
    agree = 1 + others.count(mine) if mine in others else 0
    said = f"the share of {len(others) + 1} pools that say the same"
    return _unless_cut(Weighed(agree / (len(others) + 1), said), told.samples)


def _answers(samples: Sequence[Sample], told: Told) -> list[str]:
    """What each comes to; "" for one of broken form, which votes for nothing."""
    constraint = told.asked.sampling.constraint
    is_json = constraint is not None and constraint.kind in ("json_schema", "json_object")
    return ["" if _fault(sample, told) else final_answer(sample, is_json=is_json) for sample in samples]


def _fault(sample: Sample, told: Told) -> str:
    if told.cut_by_us and sample.finish_reason == "length":
        return "was longer than a cheap answer may be"
    return fault_of(sample, told.asked)


def _unless_cut(weighed: Weighed, samples: Sequence[Sample]) -> Weighed:
    if weighed.confidence is None or all(sample.finish_reason != "length" for sample in samples):
        return weighed
    return replace(weighed, confidence=CUT_WEIGHT * weighed.confidence, said=f"it was cut, and half of {weighed.said}")
