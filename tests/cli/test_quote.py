"""`headgate quote`: its page on screens of several widths, and the command against a gRPC server in this process."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from rich.console import Console

from cli.errors import CommandError
from cli.question import Question
from cli.quote import offer_page, quote
from headgate.v1 import inference_pb2, inference_pb2_grpc
from tests.cli.test_budget import END_S, STATES

Option = inference_pb2.QuoteResponse.Option

FOOTPRINT = inference_pb2.Footprint(energy_wh=0.00213, carbon_g=0.00082, water_ml=0.0000091)
SMALL = inference_pb2.Decision(
    pool="small",
    model="SmolLM2-135M-Instruct",
    replica="small-0",
    reason="good enough (0.82 ≥ 0.80) at the least cost; shortest queue",
    quality=0.82,
    policy="thrifty",
)
LARGE = inference_pb2.Decision(
    pool="large", model="Llama-3.3-70B-Instruct", replica="large-0", reason="dearer [/x]", simulated=True, exploring=True
)
OFFER = inference_pb2.QuoteResponse(
    options=[
        Option(
            decision=SMALL,
            cost_usd=4.2e-6,
            max_cost_usd=9.1e-5,
            prompt_tokens=412,
            cached_tokens=128,
            output_tokens=180,
            uncertainty=0.04,
            footprint=FOOTPRINT,
            utility=0.7812,
            ttft_s=0.041,
        ),
        Option(decision=LARGE, cost_usd=3.1e-4, max_cost_usd=2.9e-3, prompt_tokens=412, output_tokens=230),
    ],
    budgets=STATES,
)


class FakeRouter(inference_pb2_grpc.InferenceServicer):
    def __init__(self) -> None:
        self.offer = OFFER
        self.refusal: tuple[tuple[str, str], ...] = ()
        self.asked: list[inference_pb2.GenerateRequest] = []

    def Quote(self, request: inference_pb2.GenerateRequest, context: grpc.ServicerContext) -> inference_pb2.QuoteResponse:
        self.asked.append(request)
        if self.refusal:
            context.set_trailing_metadata(self.refusal)
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "search-team has spent its 10 USD")
        return self.offer


@pytest.fixture
def router() -> Iterator[tuple[FakeRouter, str]]:
    fake = FakeRouter()
    server = grpc.server(ThreadPoolExecutor(2))
    inference_pb2_grpc.add_InferenceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield fake, f"127.0.0.1:{port}"
    server.stop(None).wait()


def drawn(offer: inference_pb2.QuoteResponse, width: int) -> list[str]:
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(offer_page(console, offer, END_S - 60.0))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [60, 80, 132])
def test_a_page_fits_its_screen_and_cuts_nothing(width: int) -> None:
    lines = drawn(OFFER, width)
    assert max(map(len, lines)) <= width
    page = "\n".join(lines)
    assert "…" not in page
    small, large = lines[2:4]
    for part in ("→", "small", "0.82 ±0.04", "0.00000420", "0.0000910"):
        assert part in small
    for part in ("large", "0.000310", "0.00290"):
        assert part in large
    assert "→" not in large
    said = " ".join(page.split())
    assert "why, by policy thrifty" in said
    assert "small: good enough (0.82 ≥ 0.80) at the least cost; shortest queue" in said
    assert "large (simulated, taken to learn about it): dearer [/x]" in said
    assert "search-team" in said
    assert "refused" not in said


def test_a_wide_screen_shows_all_there_is() -> None:
    lines = drawn(OFFER, 132)
    assert lines[1].split() == [
        *("pool", "model", "engine", "quality", "in", "cached", "out", "USD", "at", "most", "TTFT", "Wh", "utility")
    ]
    assert lines[2].split() == [
        *("→", "small", "SmolLM2-135M-Instruct", "real", "0.82", "±0.04", "412", "128", "~180", "0.00000420", "0.0000910"),
        *("41", "ms", "0.00213", "0.781"),
    ]


def test_what_nobody_knows_has_no_column() -> None:
    plain = inference_pb2.Decision(pool="small", model="smol", reason="the only pool")
    lines = drawn(inference_pb2.QuoteResponse(options=[Option(decision=plain, cost_usd=4e-6, output_tokens=50)]), 132)
    assert lines[1].split() == ["pool", "model", "engine", "in", "cached", "out", "USD"]
    assert "budget" not in "".join(lines)


def test_a_refusal_is_said() -> None:
    page = "\n".join(drawn(inference_pb2.QuoteResponse(refusal="no replica [/x] is ready"), 80))
    assert page.strip() == "would be refused now: no replica [/x] is ready"


def test_the_command_and_its_json(router: tuple[FakeRouter, str], capsys: pytest.CaptureFixture[str]) -> None:
    fake, address = router
    quote(Question("Why?", "auto", 50), address, "")
    assert "→" in capsys.readouterr().out
    assert (fake.asked[0].chat.messages[0].content, fake.asked[0].sampling.max_tokens) == ("Why?", 50)
    quote(Question("Why?"), address, "", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told.keys() == {"options", "budgets", "refusal"}
    small, large = told["options"]
    assert small == {
        "pool": "small",
        "model": "SmolLM2-135M-Instruct",
        "replica": "small-0",
        "reason": "good enough (0.82 ≥ 0.80) at the least cost; shortest queue",
        "simulated": False,
        "quality": 0.82,
        "policy": "thrifty",
        "exploring": False,
        "uncertainty": 0.04,
        "cost_usd": 4.2e-6,
        "max_cost_usd": 9.1e-5,
        "prompt_tokens": 412,
        "cached_tokens": 128,
        "output_tokens": 180,
        "footprint": {"energy_wh": 0.00213, "carbon_g": 0.00082, "water_ml": 0.0000091},
        "utility": 0.7812,
        "ttft_ms": 41.0,
    }
    assert (large["quality"], large["uncertainty"], large["footprint"]) == (None, None, None)


def test_the_json_is_what_the_http_front_says() -> None:
    """The two are written apart: the command line knows nothing of the fronts."""
    from cli.quote import offer_object
    from router.fronts.openai.about import offer_object as http_offer_object
    from tests.router.fronts.http_fakes import OFFER as HTTP_OFFER

    def keys(value: object) -> object:
        if isinstance(value, dict):
            return {key: keys(each) for key, each in value.items()}
        return [keys(each) for each in value[:1]] if isinstance(value, list) else None

    assert keys(offer_object(OFFER)) == keys(http_offer_object(HTTP_OFFER))


def test_without_money_it_is_said_what_to_do(router: tuple[FakeRouter, str]) -> None:
    fake, address = router
    for trailing, todo in (
        ((("retry-after-ms", "3600000"),), "see `headgate budget`; there is new money in 1 h"),
        ((), "see `headgate budget`"),
        ((("retry-after-ms", "soon"),), "see `headgate budget`"),
    ):
        fake.refusal = (("x-headgate-error", "budget_exceeded"), *trailing)
        with pytest.raises(CommandError, match="has spent its 10 USD") as caught:
            quote(Question("Why?"), address, "")
        assert caught.value.todo == f"{todo}; a lower --max-tokens may still fit"
