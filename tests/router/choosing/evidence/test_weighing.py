"""From samples to a judgement, with its words."""

import math
from dataclasses import replace

import pytest

from router.choosing.evidence.sample import Sample
from router.choosing.evidence.weighing import Judgement, Told, Weighed, judge, verified, weigh
from router.fleet.specs import CascadeSpec
from router.request import Constraint, Request, Sampling, TextPrompt

SPEC = CascadeSpec(("small", "large"), min_confidence=0.55)
VOTES = replace(SPEC, evidence="agreement")
ASKED = Request("q", "auto", TextPrompt("?"), Sampling(temperature=0.7, max_tokens=99))
GREEDY = replace(ASKED, sampling=Sampling(temperature=0))


def sure(probability: float, text: str = "18", finish: str = "stop") -> Sample:
    return Sample(text, (math.log(probability),) * 4, finish)


def of(*texts: str) -> list[Sample]:
    return [Sample(text, (), "stop") for text in texts]


def test_a_weak_answer_says_its_figure_and_the_threshold() -> None:
    weighed = weigh(SPEC, Told(ASKED, [sure(0.41)]))
    assert weighed.confidence == pytest.approx(0.41)
    judgement = judge(weighed, SPEC, None)
    assert not judgement.accepted
    assert judgement.why == "its mean token probability was 0.41 < 0.55"


def test_of_a_long_answer_the_weakest_part_is_told() -> None:
    answer = Sample("18", (math.log(0.9),) * 68 + (math.log(0.2),) * 32, "stop")
    mean = math.exp((68 * math.log(0.9) + 32 * math.log(0.2)) / 100)
    weighed = weigh(SPEC, Told(ASKED, [answer]))
    assert weighed.confidence == pytest.approx(mean)
    assert weighed.said == "its mean token probability (0.20 over its weakest 32 tokens)"


def test_a_figure_at_the_threshold_is_enough() -> None:
    assert judge(Weighed(0.55, "its score"), SPEC, None) == Judgement(True, "its score was 0.55 ≥ 0.55", 0.55)


def test_of_several_choices_the_weakest_counts() -> None:
    assert weigh(SPEC, Told(ASKED, [sure(0.9), sure(0.3), sure(0.8)])).confidence == pytest.approx(0.3)


def test_a_choice_without_probabilities_leaves_no_evidence() -> None:
    weighed = weigh(SPEC, Told(ASKED, [sure(0.9), Sample("x", (), "stop")]))
    assert weighed.confidence is None
    assert "told no token probabilities" in weighed.said


@pytest.mark.parametrize(("prior", "accepted"), [(None, False), (0.54, False), (0.56, True)])
def test_without_evidence_the_prediction_decides_and_without_that_it_is_weak(prior: float | None, accepted: bool) -> None:
    judgement = judge(Weighed(None, "its engine told nothing"), SPEC, prior)
    assert judgement.accepted is accepted
    assert judgement.confidence == prior


def test_a_broken_form_is_weak_whatever_the_threshold() -> None:
    asked = replace(ASKED, sampling=Sampling(constraint=Constraint("json_object")))
    weighed = weigh(SPEC, Told(asked, [sure(0.99, "sorry")]))
    assert judge(weighed, replace(SPEC, min_confidence=0.0), 0.99) == Judgement(False, "it was not JSON", 0.0)


def test_an_answer_cut_at_the_callers_limit_counts_half() -> None:
    assert weigh(SPEC, Told(ASKED, [sure(0.8, finish="length")])).confidence == pytest.approx(0.4)


def test_an_answer_cut_at_our_limit_is_not_what_was_asked_for() -> None:
    weighed = weigh(SPEC, Told(ASKED, [sure(0.99, finish="length")], cut_by_us=True))
    assert (weighed.confidence, weighed.broken) == (0.0, "was longer than a cheap answer may be")


def test_the_share_that_agrees_is_the_confidence_and_the_first_of_them_the_answer() -> None:
    weighed = weigh(VOTES, Told(ASKED, of("it is 7", "it is 18", "18")))
    assert (weighed.confidence, weighed.winner) == (pytest.approx(2 / 3), 1)
    assert judge(weighed, VOTES, None).why == "the share of its 3 samples that agree was 0.67 ≥ 0.55"


def test_who_asked_for_the_likeliest_answer_gets_it_or_none() -> None:
    weighed = weigh(VOTES, Told(GREEDY, of("it is 7", "it is 18", "18")))
    assert (weighed.confidence, weighed.winner) == (pytest.approx(1 / 3), 0)


def test_a_sample_of_broken_form_votes_for_nothing() -> None:
    asked = replace(ASKED, sampling=Sampling(temperature=0.7, constraint=Constraint("json_object")))
    weighed = weigh(VOTES, Told(asked, of("18", '{"a": 1}', '{"a":1}', "18", "18")))
    assert (weighed.confidence, weighed.winner) == (pytest.approx(2 / 5), 1)


def test_samples_that_are_all_broken_are_broken() -> None:
    asked = replace(ASKED, sampling=Sampling(constraint=Constraint("json_object")))
    assert weigh(VOTES, Told(asked, of("1", "2"))).broken == "was not a JSON object"


PAIRS = replace(VOTES, samples=1)


@pytest.mark.parametrize(
    ("mine", "earlier", "confidence"),
    [
        ("18", [], 0.0),
        ("it is 18", ["18"], 1.0),
        ("18", ["7"], 0.0),
        ("18", ["7", "18"], 2 / 3),
        ("18", ["7", "7"], 0.0),
        ("18", ["18", "18"], 1.0),
    ],
)
def test_between_pools_the_share_that_says_the_same_counts_and_one_alone_is_nothing(
    mine: str, earlier: list[str], confidence: float
) -> None:
    weighed = weigh(PAIRS, Told(ASKED, of(mine), of(*earlier)))
    assert weighed.confidence == pytest.approx(confidence)
    assert weighed.winner is None


def test_an_earlier_answer_of_broken_form_says_nothing() -> None:
    broken = Sample("18", (), "abort")
    assert weigh(PAIRS, Told(ASKED, of("18"), [broken])).confidence == 0.0
    assert weigh(PAIRS, Told(ASKED, [broken], of("18"))).broken == "broke off"


def test_between_pools_the_reason_counts_them() -> None:
    said = [judge(weigh(PAIRS, Told(ASKED, of("18"), of(*earlier))), PAIRS, None).why for earlier in ([], ["18", "7"])]
    assert said == [
        "its agreement with no other pool was 0.00 < 0.55",
        "the share of 3 pools that say the same was 0.67 ≥ 0.55",
    ]


def test_a_verifier_looks_only_at_answers_of_the_right_form() -> None:
    spec = replace(SPEC, evidence="verifier")
    assert weigh(spec, Told(ASKED, of(""))).broken == "was empty"
    assert weigh(spec, Told(ASKED, of("x"))).confidence is None


def test_a_verifiers_score_is_the_confidence() -> None:
    assert judge(verified(0.7, of("x")), SPEC, 0.1).why == "its verifier's score was 0.70 ≥ 0.55"
    assert verified(None, of("x")).confidence is None


def test_a_refusal_is_no_evidence() -> None:
    assert weigh(SPEC, Told(ASKED, [sure(0.9, "I'm sorry, I can't help with that.")])).confidence == pytest.approx(0.9)
