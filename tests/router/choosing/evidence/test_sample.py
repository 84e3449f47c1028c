"""Pieces put together again."""

import orjson

from router.choosing.evidence.sample import Sample, ToolCall, samples_of
from router.request import Piece, TokenLogprob


def logprob(value: float) -> TokenLogprob:
    return TokenLogprob(1, "a", b"a", value)


def call(index: int, name: str = "", arguments: str = "") -> bytes:
    return orjson.dumps([{"index": index, "function": {"name": name, "arguments": arguments}}])


def test_interleaved_choices_are_told_apart() -> None:
    pieces = [
        Piece(1, "b1 ", (1,), (logprob(-1),)),
        Piece(0, "a1 ", (1, 2), (logprob(-2), logprob(-3))),
        Piece(1, "b2", (2,), finish_reason="length"),
        Piece(0, "a2", (3,), (logprob(-4),), "stop"),
    ]
    assert samples_of(pieces, 2) == (Sample("a1 a2", (-2, -3, -4), "stop"), Sample("b1 b2", (-1,), "length"))


def test_tool_calls_grow_bit_by_bit() -> None:
    parts = [call(1, "second", "{}"), call(0, "first", '{"a"'), call(0, "", ": 1}"), orjson.dumps([{"index": 2}])]
    pieces = [Piece(tool_calls_json=part) for part in parts] + [Piece(finish_reason="tool_calls")]
    expected = (ToolCall("first", '{"a": 1}'), ToolCall("second", "{}"), ToolCall("", ""))
    assert samples_of(pieces, 1)[0].tool_calls == expected


def test_a_choice_that_said_nothing_is_there() -> None:
    assert samples_of([Piece(1, "x", finish_reason="stop")], 3) == (Sample(), Sample("x", (), "stop"), Sample())


def test_what_comes_after_the_end_does_not_unsay_it() -> None:
    assert samples_of([Piece(0, "x", finish_reason="length"), Piece(0, "")], 1)[0].finish_reason == "length"
