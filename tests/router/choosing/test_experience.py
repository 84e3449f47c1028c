"""What a router makes of outcomes: choices that change, pools that are tried, and shadows that are compared."""

from random import Random

import pytest

from router.choosing.choose import Asked, Chooser, PoolChoice, Seen
from router.choosing.experience import Experience, NoPredictors, Trace
from router.choosing.features import extract
from router.choosing.learning.learning import Learning
from router.choosing.learning.signals import Signal
from router.choosing.rule import AutoRule
from router.choosing.terms import Terms
from router.fleet.specs import PolicySpec, PolicyWeights
from router.request import Request, Sampling, TextPrompt
from router.snapshot import Tenant
from tests.router.choosing.test_predicted_choice import Scripted, world

CLOSE = {"small": 0.7, "large": 0.8}
POLICY = PolicySpec("p", weights=PolicyWeights(cost=0.2))


class Router:
    """Experience, and the choices made with it."""

    def __init__(self, predictor: Scripted | None = None, shadow: Scripted | None = None) -> None:
        self.now_s = 0.0
        self.experience = Experience(AutoRule(), Learning(), NoPredictors(predictor, shadow), Random(3), lambda: self.now_s)
        if predictor is not None:
            self.experience.learning.follow(predictor.version)
        self.chooser = Chooser(self.experience.believe)
        self.served = 0

    def request(self, **changes: object) -> Request:
        given = {"id": f"r{self.served}", "model": "auto", "prompt": TextPrompt("Tell me of the sea. " * 10)}
        return Request(**{**given, "sampling": Sampling(max_tokens=100), **changes})

    def choose(self, request: Request | None = None, policy: PolicySpec = POLICY) -> tuple[PoolChoice, ...]:
        request = request or self.request()
        fleet = world()
        features = extract(request.prompt, request.sampling)
        asked = Asked(request, features, Tenant("acme"))
        return self.chooser.choose(asked, Seen(fleet, fleet.ready.tobytes()), Terms(policy))

    def answer(self, request: Request | None = None) -> Trace:
        """Of the best choice."""
        request = request or self.request()
        self.served += 1
        choice = self.choose(request)[0]
        trace = self.experience.answered(request, choice.ranking.asked.features, choice, b"prompt")
        assert trace is not None
        return trace


def test_bad_answers_turn_the_choice() -> None:
    router = Router(Scripted(CLOSE))
    assert router.choose()[0].pool.name == "small"
    for _ in range(60):
        trace = router.answer()
        router.experience.heard(trace, float(trace.occasion.pool == "large"), 1.0)
    assert router.choose()[0].pool.name == "large"
    small = next(choice for choice in router.choose() if choice.pool.name == "small")
    assert small.option.quality < 0.6
    assert small.ranking.belief is not None
    assert small.ranking.belief.predicted[0] == 0.7


def test_the_rule_learns_too() -> None:
    router = Router()
    assert router.choose()[0].pool.name == "small"
    for _ in range(200):
        trace = router.answer()
        router.experience.heard(trace, float(trace.occasion.pool == "large"), 1.0)
    assert router.choose()[0].pool.name == "large"


def test_a_verdict_that_is_taken_back_leaves_next_to_nothing() -> None:
    router = Router(Scripted(CLOSE))
    trace = router.answer()
    before = [choice.option.quality for choice in router.choose()]
    router.experience.heard(trace, 0.0, 1.0)
    assert [choice.option.quality for choice in router.choose()] != pytest.approx(before, abs=0.05)
    router.experience.learning.taken_back(trace.occasion)
    assert [choice.option.quality for choice in router.choose()] == pytest.approx(before, abs=0.01)


def test_who_changes_their_mind_is_heard_once() -> None:
    changed, straight = Router(Scripted(CLOSE)), Router(Scripted(CLOSE))
    trace = changed.answer()
    changed.experience.heard(trace, 0.0)
    changed.experience.revised(trace, 1.0, 0.0)
    straight.experience.heard(straight.answer(), 1.0)
    qualities = [[choice.option.quality for choice in router.choose()] for router in (changed, straight)]
    assert qualities[0] == pytest.approx(qualities[1], abs=0.01)


def test_preferences_move_both() -> None:
    router = Router(Scripted(CLOSE))
    first, second = router.choose()
    request = router.request()
    features = first.ranking.asked.features
    winner, loser = (router.experience.answered(request, features, choice, b"") for choice in (second, first))
    for _ in range(40):
        router.experience.preferred(winner, loser)
    by_name = {choice.pool.name: choice.option.quality for choice in router.choose()}
    assert by_name["large"] > 0.8
    assert by_name["small"] < 0.7


def test_what_is_no_trace_teaches_nothing() -> None:
    router = Router(Scripted(CLOSE))
    router.experience.heard(None, 0.0, 1.0)
    router.experience.preferred(None, None)
    assert router.experience.learning.figures().outcomes == 0


def test_a_pool_that_the_caller_chose_teaches_nothing() -> None:
    router = Router(Scripted(CLOSE))
    request = router.request(model="small")
    choice = router.choose(request)[0]
    assert router.experience.answered(request, extract(request.prompt, request.sampling), choice, b"") is None


def test_the_same_prompt_again_in_one_session_is_a_sign() -> None:
    router = Router(Scripted(CLOSE))
    request = router.request(session="s")
    router.answer(request)
    router.now_s = 30.0
    router.experience.asks(request, b"another prompt")
    assert not router.experience.learning.figures().taught
    router.experience.asks(request, b"prompt")
    assert router.experience.learning.figures().taught == {("small", "asked_again"): pytest.approx(0.1)}


def test_a_cascade_that_goes_on_is_a_sign_against_the_pool_it_left() -> None:
    router = Router(Scripted(CLOSE))
    request = router.request()
    choice = router.choose(request)[0]
    router.experience.saw(request, choice.ranking.asked.features, choice, Signal.ESCALATED)
    assert set(router.experience.learning.figures().taught) == {("small", "escalated")}


def test_exploring_pays_from_its_share_and_never_without_one() -> None:
    router = Router(Scripted({"small": 0.75, "large": 0.78}))
    none = Terms(POLICY)
    assert all(router.experience.another(router.choose(), none) is None for _ in range(200))
    some = Terms(PolicySpec("p", weights=PolicyWeights(cost=0.02), explore_share=0.1))
    assert router.experience.another(router.choose(policy=some.policy), some) is None  # nobody has said anything yet
    for _ in range(30):
        router.experience.heard(router.answer(), 0.7)
    spent = extra = tried = 0.0
    for _ in range(300):
        choices = router.choose(policy=some.policy)
        exploration = router.experience.another(choices, some)
        cost_usd = choices[0].cost_usd
        if exploration is not None:
            router.experience.take(exploration, some)
            cost_usd = [choice for choice in choices if choice.ready][exploration.index].cost_usd
            extra += max(cost_usd - choices[0].cost_usd, 0.0)
            tried += 1
        spent += cost_usd
        router.experience.paid(some, cost_usd, exploration)
    assert tried > 5
    assert extra <= 0.1 * spent + max(choice.bound_usd for choice in router.choose())


def test_a_shadow_is_asked_and_never_obeyed() -> None:
    router = Router(Scripted(CLOSE), Scripted({"small": 0.1, "large": 0.9}, version="shadow"))
    router.experience.book.follow("shadow")
    for _ in range(10):
        trace = router.answer()
        assert trace.occasion.pool == "small"
        router.experience.heard(trace, 1.0, 1.0)
    figures = router.experience.book.figures()
    assert (figures.requests, figures.agreement, figures.outcomes) == (10, 0.0, 10)
    assert figures.shadow_brier > figures.brier
    assert figures.saved_usd < 0 < figures.quality_gain


def test_token_ids_are_learnt_about_by_the_rule() -> None:
    router = Router(Scripted(CLOSE))
    choice = router.choose()[0]
    assert choice.ranking.belief is not None
    assert choice.ranking.belief.version == "scripted"
