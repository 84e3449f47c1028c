"""A lost replica must not show in the answer. The engine here is a toy with the traps that were measured on real ones."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.continuation import Answer, Part, must_replay, sampling_for
from router.errors import AnswerLost
from router.request import ChatPrompt, Constraint, Piece, Request, Sampling, TextPrompt

WORDS = ["a", "be", " ", "é", "\n", "日", "本", "🙂", "x", "yes"]


def run(sampling: Sampling, resumed: tuple[int, ...] = (), length: int = 30) -> Iterator[Part]:
    """One engine call: its state (generator, penalties, grammar) starts here, whatever came before in the answer."""
    own: list[int] = []
    yield Part(prompt_tokens=7, cached_tokens=3)
    for position in range(len(resumed), length):
        so_far = [*resumed, *own]
        token = (sum((i + 1) * t for i, t in enumerate(so_far)) * 31 + len(so_far)) % len(WORDS)
        if sampling.seed is not None and not sampling.greedy:
            token = (token + sampling.seed * (len(own) + 1)) % len(WORDS)
        if sampling.frequency_penalty:
            token = (token + own.count(token)) % len(WORDS)
        if sampling.constraint is not None:
            token = len(own) % 3
        own.append(token)
        last = position == length - 1
        yield Part((token,), WORDS[token], finish_reason="length" if last else None, completion_tokens=len(own))


def undisturbed(request: Request) -> list[Piece]:
    answer = Answer(0, request)
    sampling, resumed = answer.next_try(True)
    return [piece for part in run(sampling, resumed) if (piece := answer.accept(part))]


def disturbed(request: Request, cuts: list[int], reports_ids: bool = True) -> tuple[list[Piece], Answer]:
    answer = Answer(0, request)
    pieces: list[Piece] = []
    for cut in [*cuts, 10_000]:
        sampling, resumed = answer.next_try(reports_ids)
        for at, part in enumerate(run(sampling, resumed)):
            if at >= cut:
                break
            if piece := answer.accept(part if reports_ids else replace(part, token_ids=())):
                pieces.append(piece)
    return pieces, answer


def text(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def ids(pieces: list[Piece]) -> list[int]:
    return [token for piece in pieces for token in piece.token_ids]


KINDS = {
    "greedy": Sampling(temperature=0),
    "seeded": Sampling(temperature=0.9, seed=5),
    "frequency penalty": Sampling(temperature=0, frequency_penalty=0.5),
    "grammar": Sampling(temperature=0, constraint=Constraint("json_schema", "{}")),
    "sampled grammar": Sampling(temperature=0.9, constraint=Constraint("json_object")),
    "unknown parameter": Sampling(temperature=0, extra_json='{"bad_words": ["no"]}'),
}


@pytest.mark.parametrize("kind", KINDS)
@given(cuts=st.lists(st.integers(0, 29), max_size=4))
def test_an_answer_reads_the_same_wherever_its_replicas_were_lost(kind: str, cuts: list[int]) -> None:
    request = Request("r", "m", TextPrompt("p"), KINDS[kind])
    pieces, answer = disturbed(request, cuts)
    assert text(pieces) == text(undisturbed(request))
    assert ids(pieces) == ids(undisturbed(request))
    assert [piece.finish_reason for piece in pieces if piece.finish_reason] == ["length"]
    assert (answer.prompt_tokens, answer.cached_tokens, answer.completion_tokens) == (7, 3, 30)


@given(cuts=st.lists(st.integers(0, 29), max_size=3))
def test_engines_without_token_ids_are_replayed_by_text(cuts: list[int]) -> None:
    request = Request("r", "m", TextPrompt("p"), Sampling(temperature=0))
    pieces, answer = disturbed(request, cuts, reports_ids=False)
    assert text(pieces) == text(undisturbed(request))
    assert answer.completion_tokens == 30


def test_a_second_run_that_differs_is_an_error_not_a_wrong_answer() -> None:
    answer = Answer(0, Request("r", "m", TextPrompt("p"), KINDS["grammar"]))
    answer.next_try(True)
    answer.accept(Part((1, 2), "ab"))
    answer.next_try(True)
    assert answer.accept(Part((1,), "a")) is None
    with pytest.raises(AnswerLost):
        answer.accept(Part((3,), "c"))


def test_a_second_run_that_ends_sooner_is_an_error() -> None:
    answer = Answer(0, Request("r", "m", TextPrompt("p"), KINDS["grammar"]))
    answer.next_try(True)
    answer.accept(Part((1, 2), "ab"))
    answer.next_try(True)
    with pytest.raises(AnswerLost):
        answer.accept(Part((1,), "a", finish_reason="stop"))


def test_a_part_that_lies_on_both_sides_of_the_seam_is_cut_there() -> None:
    answer = Answer(0, Request("r", "m", TextPrompt("p"), KINDS["grammar"]))
    answer.next_try(True)
    answer.accept(Part((1, 2), "ab"))
    answer.next_try(True)
    piece = answer.accept(Part((1, 2, 3), "abc"))
    assert piece == Piece(0, "c", (3,))


def test_a_later_count_of_cached_tokens_corrects_the_first_but_only_from_the_first_replica() -> None:
    answer = Answer(0, Request("r", "m", TextPrompt("p")))
    answer.next_try(True)
    answer.accept(Part((1,), "a", prompt_tokens=10))
    answer.accept(Part((2,), "b", prompt_tokens=10, cached_tokens=8))
    answer.next_try(True)
    answer.accept(Part(prompt_tokens=10, cached_tokens=9))
    assert (answer.prompt_tokens, answer.cached_tokens) == (10, 8)


def test_an_answer_lost_within_a_tool_call_is_refused() -> None:
    answer = Answer(0, Request("r", "m", ChatPrompt(b"[]", b"[{}]")))
    answer.next_try(True)
    answer.accept(Part(tool_calls_json=b"[{}]"))
    with pytest.raises(AnswerLost):
        answer.next_try(True)


@pytest.mark.parametrize(
    ("sampling", "replayed"),
    [
        (Sampling(temperature=0), False),
        (Sampling(temperature=0.8), False),
        (Sampling(temperature=0, seed=1), False),
        (Sampling(temperature=0.8, seed=1), True),
        (Sampling(seed=1), True),
        (Sampling(presence_penalty=0.1), True),
        (Sampling(presence_penalty=0.0), False),
        (Sampling(repetition_penalty=1.3), False),
        (Sampling(logprobs=3, stop=("x",)), False),
        (Sampling(constraint=Constraint("regex", "a+")), True),
        (Sampling(extra_json='{"skip_special_tokens": false}'), False),
        (Sampling(extra_json='{"thinking_token_budget": 5}'), True),
    ],
)
def test_which_requests_are_replayed(sampling: Sampling, replayed: bool) -> None:
    request = Request("r", "m", TextPrompt("p"), sampling)
    assert must_replay(request, True) is replayed
    assert must_replay(request, False) is True


def test_sampled_text_that_may_have_to_be_replayed_gets_a_seed_of_its_own() -> None:
    request = Request("r", "m", TextPrompt("p"), Sampling(temperature=0.8))
    assert sampling_for(request, 0, replayed=False).seed is None
    first, second = (sampling_for(request, index, replayed=True).seed for index in (0, 1))
    assert first is not None
    assert second is not None
    assert first != second
    assert sampling_for(request, 0, replayed=True).seed == first


def test_the_choices_of_a_seeded_request_differ() -> None:
    request = Request("r", "m", TextPrompt("p"), Sampling(temperature=0.8, seed=5))
    assert [sampling_for(request, index, True).seed for index in (0, 1, 2)] == [5, 6, 7]
