"""`headgate budget` against a gRPC server in this process, and its table on screens of several widths."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from rich.console import Console

from cli.budget import budget, budgets_table
from cli.errors import CommandError
from headgate.v1 import inference_pb2, inference_pb2_grpc

END_S = 1_800_000_000  # 15 January 2027, 08:00 UTC
STATES = [
    inference_pb2.BudgetState(
        tenant="search-team",
        limit_usd=10,
        spent_usd=8.75,
        remaining_usd=1.25,
        window="day",
        resets_at_s=END_S,
        hard=True,
    ),
    inference_pb2.BudgetState(
        tenant="organisation", limit_usd=2500, spent_usd=412.5, remaining_usd=2087.5, window="month", resets_at_s=END_S + 86_400
    ),
    inference_pb2.BudgetState(tenant="pilot [/x]", limit_usd=5, spent_usd=5.2),
]


class FakeRouter(inference_pb2_grpc.InferenceServicer):
    def __init__(self) -> None:
        self.states = list(STATES)

    def Budget(self, request: inference_pb2.BudgetRequest, context: grpc.ServicerContext) -> inference_pb2.BudgetResponse:
        if ("authorization", "Bearer k-1") not in context.invocation_metadata():
            context.set_trailing_metadata((("x-headgate-error", "invalid_api_key"),))
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "an API key is needed")
        return inference_pb2.BudgetResponse(budgets=self.states)


@pytest.fixture
def router() -> Iterator[tuple[FakeRouter, str]]:
    fake = FakeRouter()
    server = grpc.server(ThreadPoolExecutor(2))
    inference_pb2_grpc.add_InferenceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield fake, f"127.0.0.1:{port}"
    server.stop(None).wait()


def drawn(width: int) -> list[str]:
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(budgets_table(console, STATES, END_S - 18_730.0))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [60, 80, 132])
def test_amounts_and_ends_are_whole_on_every_screen(width: int) -> None:
    lines = drawn(width)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    team, organisation, pilot = lines[2:]
    for part in ("search-team", "10.00 a day", "8.75", "1.25", "5 h 13 min"):
        assert part in team
    for part in ("organisation", "2,500.00 a month", "412.50", "2,087.50", "1 d 6 h"):
        assert part in organisation
    for part in ("pilot [/x]", "5.00 in all", "5.20", " 0 ", "never"):
        assert part in pilot


def test_a_wide_screen_shows_more() -> None:
    _, headings, team, organisation, pilot = drawn(132)
    assert headings.split() == ["tenant", "budget,", "USD", "spent", "left", "ends", "in", "UTC", "limit"]
    assert "15 Jan 08:00" in team
    assert team.split()[-1] == "hard"
    assert organisation.split()[-1] == "soft"
    # Twelve columns stand for the whole budget.
    filled = [sum(line.count(mark) for mark in "━╸") for line in (team, organisation, pilot)]
    assert filled[0] in (10, 11)
    assert filled[1] in (1, 2)
    assert filled[2] == 12


def test_over_the_wire(router: tuple[FakeRouter, str], capsys: pytest.CaptureFixture[str]) -> None:
    fake, address = router
    budget(address, "k-1")
    assert "search-team" in capsys.readouterr().out
    budget(address, "k-1", as_json=True)
    told = json.loads(capsys.readouterr().out)["budgets"]
    assert told[0] == {
        "tenant": "search-team",
        "limit_usd": 10.0,
        "spent_usd": 8.75,
        "remaining_usd": 1.25,
        "window": "day",
        "resets_at_s": END_S,
        "hard": True,
    }
    assert len(told) == 3
    fake.states.clear()
    budget(address, "k-1")
    assert "without limit" in capsys.readouterr().out


def test_a_key_is_needed(router: tuple[FakeRouter, str]) -> None:
    with pytest.raises(CommandError, match="an API key is needed") as caught:
        budget(router[1], "k-2")
    assert "k-2" not in str(caught.value)
    assert "HEADGATE_API_KEY" in caught.value.todo
