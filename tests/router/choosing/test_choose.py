"""Which pool, in what order, and with what reason."""

import pytest

from router.choosing.beliefs import Beliefs
from router.choosing.choose import Asked, Chooser, PoolChoice, Seen
from router.choosing.features import Features
from router.choosing.rule import AutoRule
from router.choosing.terms import OWN_TERMS
from router.errors import Forbidden, HeadgateError, InvalidRequest, NoReplica, NotFound
from router.request import Request, TextPrompt
from router.snapshot import Fleet, Pool, Prices, Tenant
from tests.fleets import fleet_of, pool_of

ANYONE = Tenant("anyone")
CHOOSER = Chooser(Beliefs(AutoRule()).of)
PLAIN = Features(prompt_tokens=50, output_tokens=100, question=True)
CODE = Features(prompt_tokens=50, output_tokens=100, code=True)
HARD = Features(prompt_tokens=2000, output_tokens=100, code=True)
TOOLS = Features(prompt_tokens=50, output_tokens=100, tools=True)


def pools(**fields: dict[str, object]) -> tuple[Pool, ...]:
    """Two replicas each: two small pools, one MoE, one large. Fields by pool name."""
    kinds = {"tiny": ("small", 1.0), "mini": ("small", 0.5), "mixture": ("moe", 2.0), "giant": ("large", 9.0)}
    made = []
    for at, (name, (tier, price)) in enumerate(kinds.items()):
        prices = Prices(price, price / 10, price * 2)
        given = {"tier": tier, "prices": prices, "models": (f"org/{name}",), **fields.get(name, {})}
        made.append(pool_of(name, 2 * at, 2 * at + 2, **given))
    return tuple(made)


def fleet(*down: str, **fields: dict[str, object]) -> Fleet:
    there = pools(**fields)
    return fleet_of(there, ready=[pool.name not in down for pool in there for _ in range(2)])


def chosen(
    model: str, features: Features = PLAIN, seen: Fleet | None = None, tenant: Tenant = ANYONE, **cached: float
) -> tuple[PoolChoice, ...]:
    request = Request("r", model, TextPrompt("x"))
    there = seen or fleet()
    return CHOOSER.choose(Asked(request, features, tenant), Seen(there, there.ready.tobytes(), cached), OWN_TERMS)


def names(*args: object, **kwargs: object) -> list[str]:
    return [choice.pool.name for choice in chosen(*args, **kwargs)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("features", "down", "order", "reason"),
    [
        (PLAIN, (), ["mini", "tiny", "mixture", "giant"], "short plain question: small is enough; cheapest of 2"),
        (PLAIN, ("mini",), ["tiny", "mixture", "giant", "mini"], "short plain question: small is enough"),
        (
            PLAIN,
            ("mini", "tiny"),
            ["mixture", "giant", "mini", "tiny"],
            "short plain question: small is enough; no small pool can take it now, so moe (stronger)",
        ),
        (CODE, (), ["mixture", "giant", "mini", "tiny"], "code: moe needed"),
        (
            CODE,
            ("mixture", "giant"),
            ["mini", "tiny", "mixture", "giant"],
            "code: moe needed; no moe pool can take it now, so small (weaker)",
        ),
        (HARD, (), ["giant", "mixture", "mini", "tiny"], "code and 2,000 tokens: large needed"),
        (
            HARD,
            ("giant",),
            ["mixture", "mini", "tiny", "giant"],
            "code and 2,000 tokens: large needed; no large pool can take it now, so moe (weaker)",
        ),
        (
            PLAIN,
            ("mini", "tiny", "mixture", "giant"),
            ["mini", "tiny", "mixture", "giant"],
            "short plain question: small is enough; no replica is ready",
        ),
    ],
)
def test_auto(features: Features, down: tuple[str, ...], order: list[str], reason: str) -> None:
    choices = chosen("auto", features, fleet(*down))
    assert [choice.pool.name for choice in choices] == order
    assert choices[0].reason == reason
    assert [choice.ready for choice in choices] == sorted((choice.ready for choice in choices), reverse=True)


def test_every_choice_says_its_own_reason() -> None:
    reasons = [choice.reason for choice in chosen("auto")]
    assert [reason.partition("; ")[2] for reason in reasons] == [
        "cheapest of 2",
        "number 2 of 2 by price",
        "moe (stronger) should no better one take it",
        "large (stronger) should no better one take it",
    ]
    assert all(reason.isascii() for reason in reasons)


def test_a_warm_cache_makes_a_pool_cheaper() -> None:
    long = Features(prompt_tokens=900, output_tokens=10)
    assert names("auto", long)[0] == "mini"
    assert names("auto", long, tiny=0.9)[0] == "tiny"


def test_cost_is_of_the_request() -> None:
    (choice,) = chosen("giant")
    assert choice.cost_usd == pytest.approx((50 * 9 + 100 * 18) / 1e6)


@pytest.mark.parametrize("model", ["giant", "org/giant"])
def test_by_name_gets_that_pool_alone_even_when_it_is_down(model: str) -> None:
    (choice,) = chosen(model, seen=fleet("giant"))
    assert (choice.pool.name, choice.ready) == ("giant", False)
    assert choice.reason == "asked for by name; no replica is ready"
    assert chosen(model)[0].reason == "asked for by name"


def test_a_model_in_two_pools_goes_to_the_cheaper() -> None:
    seen = fleet(tiny={"models": ("shared",)}, mini={"models": ("shared", "other")})
    assert names("shared", seen=seen) == ["mini", "tiny"]
    assert chosen("shared", seen=seen)[0].reason == "asked for by name; cheapest of 2"


def test_a_pool_name_wins_over_a_model_name() -> None:
    assert names("tiny", seen=fleet(giant={"models": ("tiny",)})) == ["tiny"]


def test_context_must_fit() -> None:
    long = Features(prompt_tokens=5000, output_tokens=100, question=True)
    sized = {name: {"max_context_tokens": size} for name, size in (("tiny", 2048), ("mini", 4096), ("mixture", 8192))}
    assert names("auto", long, fleet(**sized)) == ["mixture", "giant"]
    sized["giant"] = {"max_context_tokens": 4096}
    longer = Features(prompt_tokens=9000, output_tokens=100)
    assert names("auto", longer, fleet(**sized)) == ["mixture"]
    assert names("tiny", long, fleet(**sized)) == ["tiny"]


def test_tools_need_a_pool_that_parses_them() -> None:
    assert names("auto", TOOLS, fleet(giant={"parses_tool_calls": True})) == ["giant"]
    for model in ("auto", "tiny"):
        with pytest.raises(InvalidRequest, match="parses tool calls") as fault:
            chosen(model, TOOLS)
        assert fault.value.param == "tools"


def test_embedding_pools_do_not_serve_auto() -> None:
    seen = fleet(tiny={"embeddings": True}, mini={"embeddings": True})
    assert names("auto", seen=seen) == ["mixture", "giant"]
    everything = fleet(**{name: {"embeddings": True} for name in ("tiny", "mini", "mixture", "giant")})
    assert len(names("auto", seen=everything)) == 4


def test_a_tenant_sees_only_its_pools() -> None:
    tenant = Tenant("t", frozenset({"tiny", "giant"}))
    assert names("auto", tenant=tenant) == ["tiny", "giant"]
    assert names("org/tiny", tenant=tenant) == ["tiny"]


@pytest.mark.parametrize(
    ("model", "tenant", "seen", "kind", "text"),
    [
        ("gaint", ANYONE, fleet(), NotFound, "did you mean 'giant'? known: auto, tiny, org/tiny, mini"),
        ("zzz", ANYONE, fleet(), NotFound, "'zzz' is not a model or pool here; known: auto, tiny"),
        ("", ANYONE, fleet(), NotFound, "'' is not a model"),
        ("x" * 100_000, ANYONE, fleet(), NotFound, "is not a model"),
        ("zzz", Tenant("t", frozenset({"tiny"})), fleet(), NotFound, "known: auto, tiny, org/tiny"),
        ("giant", Tenant("t", frozenset({"tiny"})), fleet(), Forbidden, "may not use 'giant'"),
        ("org/giant", Tenant("t", frozenset({"tiny"})), fleet(), Forbidden, "may not use 'org/giant'"),
        ("auto", Tenant("t", frozenset({"gone"})), fleet(), Forbidden, "may use no pool"),
        ("auto", ANYONE, fleet_of(()), NoReplica, "no pool is known yet"),
    ],
)
def test_errors(model: str, tenant: Tenant, seen: Fleet, kind: type[HeadgateError], text: str) -> None:
    with pytest.raises(kind) as fault:
        chosen(model, seen=seen, tenant=tenant)
    assert text in fault.value.message
    assert len(fault.value.message) < 500


def test_an_error_does_not_name_what_others_use() -> None:
    with pytest.raises(NotFound) as fault:
        chosen("gian", tenant=Tenant("t", frozenset({"tiny"})))
    assert "giant" not in fault.value.message


def test_a_pool_that_never_was_up_is_asked_for_what_it_may_be_able_to_do() -> None:
    asleep = fleet("giant", giant={"known": False})
    assert names("giant", TOOLS, asleep) == ["giant"]
    assert names("auto", TOOLS, asleep) == ["giant"]


def test_auto_leaves_pools_that_prefill_for_others_alone() -> None:
    seen = fleet(mini={"role": "prefill"}, tiny={"role": "decode"})
    assert names("auto", PLAIN, seen) == ["tiny", "mixture", "giant"]
    assert names("mini", PLAIN, seen) == ["mini"]
