"""The choice where qualities are predicted, under policies: a scripted predictor, the real rest."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from router.choosing.beliefs import WIDEST, Beliefs
from router.choosing.choose import Asked, Chooser, PoolChoice, Seen
from router.choosing.features import Features, extract
from router.choosing.latency import Timing
from router.choosing.quality.prediction import Prediction
from router.choosing.rule import AutoRule
from router.choosing.strategies import Option
from router.choosing.terms import OWN_TERMS, Terms
from router.errors import NoReplica
from router.fleet.specs import CanarySpec, PolicySpec, PolicyWeights
from router.request import Request, Sampling, TextPrompt, TokenPrompt
from router.snapshot import Fleet, Footprint, Prices, Tenant
from tests.fleets import fleet_of, pool_of


@dataclass
class Scripted:
    """Says the same of every prompt."""

    quality: dict[str, float]
    trust: float = 1.0
    output_tokens: dict[str, float] = field(default_factory=dict)
    version: str = "scripted"
    domains: int = 1

    @property
    def pools(self) -> tuple[str, ...]:
        return tuple(self.quality)

    @property
    def prior(self) -> np.ndarray:
        return np.array([0.5] * len(self.quality))

    def predict(self, features: Features) -> Prediction:
        tokens = [self.output_tokens.get(name, 0.0) for name in self.quality]
        return Prediction(np.array(list(self.quality.values())), np.full(len(self.quality), 0.1), np.array(tokens), self.trust)


PREDICTED = {"small": 0.6, "large": 0.9}


def world(**fields: dict[str, object]) -> Fleet:
    prices = {"small": 1.0, "large": 10.0}
    pools = [
        pool_of(name, at, at + 1, prices=Prices(price, price / 10, price * 4), **fields.get(name, {}))
        for at, (name, price) in enumerate(prices.items())
    ]
    return fleet_of(pools)


def chosen(
    policy: PolicySpec | None = None,
    predictor: Scripted | None = None,
    fleet: Fleet | None = None,
    request: Request | None = None,
    own: dict[str, object] | None = None,
    **seen: object,
) -> tuple[PoolChoice, ...]:
    predictor, fleet = predictor or Scripted(PREDICTED), fleet or world()
    request = request or Request("r", "auto", TextPrompt("What is the capital of France? " * 10), Sampling(max_tokens=100))
    terms = Terms(policy, seen.pop("usd_price", 0.0), seen.pop("draw", 1.0)) if policy else OWN_TERMS
    chooser = Chooser(Beliefs(AutoRule(), predictor=lambda: predictor).of, own or {})
    features = extract(request.prompt, request.sampling)
    return chooser.choose(Asked(request, features, Tenant("t")), Seen(fleet, fleet.ready.tobytes(), **seen), terms)


def names(*args: object, **kwargs: object) -> list[str]:
    return [choice.pool.name for choice in chosen(*args, **kwargs)]


def test_a_predicted_gain_must_be_worth_its_price() -> None:
    best = PolicySpec("best", weights=PolicyWeights(cost=0.0))
    thrifty = PolicySpec("thrifty", weights=PolicyWeights(cost=0.4))
    assert (names(best), names(thrifty)) == (["large", "small"], ["small", "large"])


def test_the_reason_names_the_policy_both_qualities_and_both_costs() -> None:
    first, second = chosen(PolicySpec("thrifty", "qualityFloor", quality_floor=0.5))
    assert first.reason.startswith("policy thrifty, 0.5 or better at least cost: predicted 0.60 for 0.000481 USD")
    assert "; next large 0.90 for 0.00481 USD" in first.reason
    assert second.reason.endswith("number 2 of 2")
    assert (first.quality, second.quality) == (0.6, 0.9)


def test_a_dollar_price_shows_in_the_reason_of_budget() -> None:
    policy = PolicySpec("paced", "budget")
    assert names(policy, usd_price=0.0)[0] == "large"
    assert names(policy, usd_price=200.0)[0] == "small"
    assert "a dollar must bring 200" in chosen(policy, usd_price=200.0)[0].reason


def test_little_trust_is_said() -> None:
    assert "trust 0.2" in chosen(predictor=Scripted(PREDICTED, trust=0.2))[0].reason
    assert "trust" not in chosen()[0].reason


def test_a_pool_that_was_not_trained_on_is_taken_for_the_mean_with_the_widest_doubt() -> None:
    (choice,) = [each for each in chosen(predictor=Scripted({"small": 0.6, "other": 0.2})) if each.pool.name == "large"]
    assert (choice.quality, choice.option.uncertainty) == (0.5, WIDEST)


def test_expected_lengths_make_the_price_and_what_the_caller_allows_bounds_them() -> None:
    chatty = Scripted(PREDICTED, output_tokens={"small": 80.0, "large": 900.0})
    tokens = {choice.pool.name: choice.estimate.output_tokens for choice in chosen(predictor=chatty)}
    assert tokens == {"small": 80, "large": 100}


def test_of_token_ids_nothing_can_be_predicted_so_the_rule_decides() -> None:
    choices = chosen(request=Request("r", "auto", TokenPrompt(tuple(range(50)))))
    assert choices[0].quality is None
    assert "small is enough" in choices[0].reason


def test_fixed_leaves_nothing_else_and_says_when_its_pool_can_not_serve() -> None:
    (choice,) = chosen(PolicySpec("always", "fixed", pool="large"))
    assert (choice.pool.name, choice.reason) == ("large", "policy always: always large")
    with pytest.raises(NoReplica, match="policy always wants gone, which can't serve"):
        chosen(PolicySpec("always", "fixed", pool="gone"))


def test_canaries_get_their_share_and_only_where_they_can_serve() -> None:
    policy = PolicySpec("canary", weights=PolicyWeights(cost=0.4), canaries=(CanarySpec("large", 10), CanarySpec("gone", 10)))
    assert [names(policy, draw=draw)[0] for draw in (0.0, 0.0999, 0.1, 0.19, 0.2, 0.99)] == ["large"] * 2 + ["small"] * 4
    down = fleet_of(world().pools, ready=[True, False])
    assert names(policy, fleet=down, draw=0.0)[0] == "small"


class TheSecond:
    """A chooser of somebody's own."""

    def utilities(self, options: list[Option], terms: Terms) -> list[float | None]:
        return [None, *(1.0 for _ in options[1:])]


def test_a_chooser_of_ones_own() -> None:
    policy = PolicySpec("mine", "custom", custom="second")
    assert names(policy, own={"second": TheSecond()}) == ["large"]
    with pytest.raises(NoReplica, match="the chooser 'second', which this router has not"):
        chosen(policy)


def test_a_late_pool_loses_to_one_in_time() -> None:
    fleet = world(small={"ttft_ms": 100}, large={"ttft_ms": 1000})
    timings = {"small": Timing(0.01, 0.01), "large": Timing(0.0001, 0.01)}
    policy = PolicySpec("p", weights=PolicyWeights(cost=0.4, latency=0.5))
    assert names(policy, fleet=fleet)[0] == "small"
    first = chosen(policy, fleet=fleet, timings=timings)[0]
    assert first.pool.name == "large"
    assert first.option.ttft_s == pytest.approx(0.0001 * first.estimate.prompt_tokens)


def test_a_cached_conversation_stays_where_its_cache_is_until_the_gain_is_larger() -> None:
    """Stickiness is a price: what is cached costs a tenth, and is lost by leaving."""
    request = Request("r", "auto", TextPrompt("word " * 4000), Sampling(max_tokens=10))
    close = Scripted({"small": 0.80, "large": 0.84})
    policy = PolicySpec("p", weights=PolicyWeights(cost=0.1))
    assert names(policy, predictor=close, request=request)[0] == "small"
    begun_there = {"cached_share": {"large": 0.95}}
    assert names(policy, predictor=close, request=request, **begun_there)[0] == "large"
    clear = Scripted({"small": 0.90, "large": 0.84})
    assert names(policy, predictor=clear, request=request, **begun_there)[0] == "small"


def test_energy_is_told_where_the_pool_knows_it() -> None:
    fleet = world(large={"footprint": Footprint(100.0, 10.0, 500.0, 0.4, 1.8)})
    by_name = {choice.pool.name: choice for choice in chosen(fleet=fleet)}
    guess, used = by_name["large"].estimate, by_name["large"].option.used
    assert by_name["small"].option.used is None
    assert used is not None
    assert used.energy_wh == pytest.approx((guess.prompt_tokens * 100 + guess.output_tokens * 500) / 1e6)
    assert (used.carbon_g, used.water_ml) == pytest.approx((used.energy_wh * 0.4, used.energy_wh * 1.8))


def test_the_bound_holds_whatever_the_tokenizer() -> None:
    text = "äöü" * 50
    (choice,) = chosen(request=Request("r", "large", TextPrompt(text), Sampling(max_tokens=7), n=3))
    assert choice.bound_usd >= (len(text.encode()) * 10.0 + 3 * 7 * 40.0) / 1e6
    assert choice.quality is None
