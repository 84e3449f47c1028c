"""`headgate ask` against a gRPC server in this process."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from rich.console import Console

from cli.ask import account, ask
from cli.errors import CommandError
from cli.question import Question
from headgate.v1 import generation_pb2, inference_pb2, inference_pb2_grpc
from tests.cli.test_budget import STATES

Stream = Iterator[inference_pb2.GenerateResponse]


class FakeRouter(inference_pb2_grpc.InferenceServicer):
    """Answers with what the test puts in `text`; remembers what it was asked."""

    def __init__(self) -> None:
        self.text = ["The sky ", "is blue."]
        self.simulated = False
        self.cut = False
        self.refusal: tuple[grpc.StatusCode, str, str] | None = None
        self.asked: list[inference_pb2.GenerateRequest] = []
        self.keys: list[str] = []

    def decision(self) -> inference_pb2.Decision:
        return inference_pb2.Decision(
            pool="small", model="smol", replica="small-0", reason="short question", simulated=self.simulated
        )

    def Generate(self, request: inference_pb2.GenerateRequest, context: grpc.ServicerContext) -> Stream:
        self.asked.append(request)
        self.keys += [str(value) for key, value in context.invocation_metadata() if key == "authorization"]
        if self.refusal is not None:
            code, details, word = self.refusal
            context.set_trailing_metadata((("x-headgate-error", word), ("x-headgate-param", "model")))
            context.abort(code, details)
        yield inference_pb2.GenerateResponse(started=inference_pb2.Started(request_id="r", decision=self.decision()))
        for piece in self.text:
            yield inference_pb2.GenerateResponse(delta=inference_pb2.Delta(text=piece))
        if not self.cut:
            usage = generation_pb2.Usage(prompt_tokens=12, completion_tokens=5, cached_tokens=8)
            finished = inference_pb2.Finished(
                usage=usage, cost_usd=4.2e-6, decision=self.decision(), ttft_s=0.041, total_s=0.5, resumed=1
            )
            yield inference_pb2.GenerateResponse(finished=finished)

    def Quote(self, request: inference_pb2.GenerateRequest, context: grpc.ServicerContext) -> inference_pb2.QuoteResponse:
        other = inference_pb2.Decision(pool="large", model="big", reason="stronger", simulated=True)
        return inference_pb2.QuoteResponse(
            options=[
                inference_pb2.QuoteResponse.Option(decision=self.decision(), cost_usd=4e-6, prompt_tokens=12, output_tokens=50),
                inference_pb2.QuoteResponse.Option(decision=other, cost_usd=4e-4, prompt_tokens=12, output_tokens=50),
            ]
        )


@pytest.fixture
def router() -> Iterator[tuple[FakeRouter, str]]:
    fake = FakeRouter()
    server = grpc.server(ThreadPoolExecutor(2))
    inference_pb2_grpc.add_InferenceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield fake, f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_the_answer_alone_goes_to_standard_output(router: tuple[FakeRouter, str], capsys: pytest.CaptureFixture[str]) -> None:
    fake, address = router
    ask(Question("Why is the sky blue?", "small", 50, temperature=0), address, "")
    said = capsys.readouterr()
    assert said.out == "The sky is blue.\n"
    assert said.err == ""
    assert fake.asked[0].chat.messages[0].content == "Why is the sky blue?"
    assert (fake.asked[0].model, fake.asked[0].sampling.max_tokens) == ("small", 50)
    assert fake.asked[0].sampling.HasField("temperature")


def test_explained(router: tuple[FakeRouter, str], capsys: pytest.CaptureFixture[str]) -> None:
    _, address = router
    ask(Question("Why?", explain=True), address, "")
    said = re.sub(r"\s+", " ", capsys.readouterr().err)
    for part in (
        "→ small smol",
        "large big simulated",
        "0.000400",
        "12 in (8 cached), 5 out",
        "first token 41 ms",
        "0.00000420 USD",
    ):
        assert part in said
    assert "because short question" in said
    assert "resumed 1 × on another replica" in said


def test_all_that_is_known_of_an_answer() -> None:
    decision = inference_pb2.Decision(
        pool="small", model="smol", replica="small-0", reason="good [/x]", quality=0.825, policy="thrifty", exploring=True
    )
    footprint = inference_pb2.Footprint(energy_wh=0.00213, carbon_g=0.00082, water_ml=0.0000091)
    finished = inference_pb2.Finished(decision=decision, cost_usd=0.5, escalated=2, footprint=footprint, budgets=STATES[:2])
    console = Console(width=60, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(account(finished))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 60
    said = " ".join(captured.get().split())
    for part in (
        "because good [/x]",
        "policy thrifty",
        "quality 0.82 predicted; taken to learn about this pool",
        "budget 1.25 of 10.00 USD left, search-team",
        "budget 2,087.50 of 2,500.00 USD left, organisation",
        "footprint 0.00213 Wh, 0.00082 g CO2e, 0.00000910 ml water (estimated)",
        "escalated 2 ×",
    ):
        assert part in said


def test_a_simulated_answer_is_called_so(router: tuple[FakeRouter, str], capsys: pytest.CaptureFixture[str]) -> None:
    fake, address = router
    fake.simulated = True
    ask(Question("Why?"), address, "")
    assert "simulated answer" in capsys.readouterr().err


def test_an_answer_cannot_touch_the_terminal(router: tuple[FakeRouter, str], capsys: pytest.CaptureFixture[str]) -> None:
    fake, address = router
    fake.text = ["\x1b]0;own", "ed\x07fine\x1b", "[2J", " text\n"]
    ask(Question("Why?"), address, "")
    assert capsys.readouterr().out == "fine text\n"


def test_the_key_is_sent_and_never_shown(router: tuple[FakeRouter, str], capsys: pytest.CaptureFixture[str]) -> None:
    fake, address = router
    ask(Question("Why?"), address, "secret-key")
    fake.refusal = (grpc.StatusCode.UNAUTHENTICATED, "nobody holds this key", "invalid_api_key")
    with pytest.raises(CommandError) as caught:
        ask(Question("Why?"), address, "secret-key")
    assert fake.keys == ["Bearer secret-key"] * 2
    assert "secret-key" not in str(caught.value)
    assert "HEADGATE_API_KEY" in caught.value.todo
    assert "secret-key" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("code", "says", "todo"),
    [
        (grpc.StatusCode.NOT_FOUND, "no such model (field model)", "--model auto"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "no such model", "try again"),
        (grpc.StatusCode.UNAVAILABLE, "no such model", "headgate top"),
        (grpc.StatusCode.INTERNAL, "no such model", ""),
    ],
)
def test_refusals(router: tuple[FakeRouter, str], code: grpc.StatusCode, says: str, todo: str) -> None:
    fake, address = router
    fake.refusal = (code, "no such model", "word")
    with pytest.raises(CommandError) as caught:
        ask(Question("Why?"), address, "")
    assert says in caught.value.message
    assert todo in caught.value.todo


def test_nobody_there() -> None:
    with pytest.raises(CommandError, match="no router answers at") as caught:
        ask(Question("Why?"), "127.0.0.1:1", "")
    assert "headgate up" in caught.value.todo


def test_an_answer_that_breaks_off(router: tuple[FakeRouter, str]) -> None:
    fake, address = router
    fake.cut = True
    with pytest.raises(CommandError, match="broke off"):
        ask(Question("Why?"), address, "")


def test_no_question() -> None:
    with pytest.raises(CommandError, match="no question"):
        ask(Question("  "), "127.0.0.1:1", "")
