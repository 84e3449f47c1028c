"""The text of an answer must not depend on how its tokens arrived, nor on which replica produced them."""

import codecs
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.engine import Delta, Sampling
from workers.text import Speaker, speak

ALPHABET = "ab<日😀é "


class Bytes:
    """Token ids are single bytes; 256 is special and has no text."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def step(self, token_id: int) -> str:
        return self._utf8.decode(b"" if token_id == 256 else bytes((token_id,)))


def ids_of(text: str) -> list[int]:
    return list(text.encode())


def expected(text: str, stop: Sequence[str], include: bool) -> tuple[str, str | None]:
    """Oracle: cut the whole text at the stop string that is complete first; of those, the one that begins first."""
    for end in range(1, len(text) + 1):
        ending = sorted((end - len(s), s) for s in stop if text[:end].endswith(s))
        if ending:
            at, found = ending[0]
            return text[: end if include else at], found
    return text, None


texts = st.text(ALPHABET, max_size=40)
stops = st.lists(st.text(ALPHABET, min_size=1, max_size=5), max_size=4)


@settings(deadline=None)
@given(texts, stops, st.booleans(), st.data())
def test_any_grouping_says_the_same(text: str, stop: list[str], include: bool, data: st.DataObject) -> None:
    speaker, ids, said, found = Speaker(Bytes(), stop, include), ids_of(text), "", None
    while ids and found is None:
        size = data.draw(st.integers(1, len(ids)))
        part = speaker.feed(ids[:size])
        said, found, ids = said + part.text, part.stop, ids[size:]
    said += speaker.flush() if found is None else ""
    assert (said, found) == expected(text, stop, include)


@settings(deadline=None)
@given(texts, stops, st.booleans(), st.data())
def test_any_seam_says_the_same(text: str, stop: list[str], include: bool, data: st.DataObject) -> None:
    ids = ids_of(text)
    seam = data.draw(st.integers(0, len(ids)))
    first, second = Speaker(Bytes(), stop, include), Speaker(Bytes(), stop, include)
    before = first.feed(ids[:seam])
    if before.stop is not None:
        return  # nothing is continued behind a stop
    assert second.feed(ids[:seam]).text == before.text
    after = second.feed(ids[seam:])
    said = before.text + after.text + (second.flush() if after.stop is None else "")
    assert (said, after.stop) == expected(text, stop, include)


@settings(deadline=None)
@given(texts, stops)
def test_no_more_is_held_back_than_could_become_a_stop_string(text: str, stop: list[str]) -> None:
    speaker = Speaker(Bytes(), stop)
    part = speaker.feed(ids_of(text))
    if part.stop is None:
        held = speaker.flush()
        assert held == "" or any(s.startswith(held) for s in stop)


@pytest.mark.parametrize(
    ("text", "stop", "min_tokens", "said"),
    [
        ("abcabc", ["abc"], 0, ""),
        ("abcabc", ["abc"], 2, ""),  # complete only with the third token
        ("abcabc", ["abc"], 3, "abc"),
        ("abcabc", ["abc"], 6, "abcabc"),
        ("xaby", ["ab", "abz"], 3, "xaby"),  # 'ab' came too early to count, though it is held back as a beginning
        ("xababy", ["ab", "abab"], 3, "x"),
        ("日本語", ["本"], 0, "日"),
    ],
)
def test_min_tokens(text: str, stop: list[str], min_tokens: int, said: str) -> None:
    speaker = Speaker(Bytes(), stop, min_tokens=min_tokens)
    part = speaker.feed(ids_of(text))
    assert part.text + ("" if part.stop else speaker.flush()) == said


def test_tokens_behind_the_stop_string_do_not_count() -> None:
    part = Speaker(Bytes(), ["b"]).feed(ids_of("abcd"))
    assert (part.text, part.tokens, part.stop) == ("a", 2, "b")


async def steps(*deltas: Delta) -> AsyncGenerator[Delta, None]:
    for delta in deltas:
        yield delta


async def spoken(deltas: Sequence[Delta], sampling: Sampling, resumed: Sequence[int] = ()) -> list[Delta]:
    return [delta async for delta in speak(steps(*deltas), Bytes(), sampling, resumed)]


async def test_a_stop_token_counts_but_is_not_said() -> None:
    told = [Delta(ids_of("ab"), prompt_tokens=3), Delta(ids_of("c"), finish_reason="stop", stop_reason="99")]
    silent = await spoken(told, Sampling())
    loud = await spoken(told, Sampling(include_stop_in_output=True))
    assert ["".join(d.text for d in said) for said in (silent, loud)] == ["ab", "abc"]
    assert silent[-1].token_ids == ids_of("c")


async def test_what_was_held_back_is_said_at_the_end() -> None:
    said = await spoken([Delta(ids_of("ab<")), Delta(ids_of("|"), finish_reason="length")], Sampling(stop=("<|end|>",)))
    assert [d.text for d in said] == ["ab", "<|"]


async def test_an_answer_that_had_ended_before_it_moved_ends_at_once() -> None:
    said = await spoken([Delta(ids_of("more"), prompt_tokens=7)], Sampling(stop=("b",)), resumed=ids_of("ab"))
    assert [(d.text, list(d.token_ids), d.finish_reason, d.stop_reason, d.prompt_tokens) for d in said] == [
        ("", [], "stop", "b", 7)
    ]


async def test_a_stop_string_ends_the_engines_stream() -> None:
    closed = False

    async def endless() -> AsyncGenerator[Delta, None]:
        nonlocal closed
        try:
            while True:
                yield Delta(ids_of("ab"))
        finally:
            closed = True

    said = [delta async for delta in speak(endless(), Bytes(), Sampling(stop=("ba",)))]
    assert "".join(d.text for d in said) == "a"
    assert closed
