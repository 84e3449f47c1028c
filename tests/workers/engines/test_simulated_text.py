"""The tokenizer is reversible; what may follow what always leads to whole characters."""

from hypothesis import given, settings
from hypothesis import strategies as st

from workers.engines.simulated.text import (
    EOS,
    SIMULATED,
    TOKEN_BYTES,
    VOCABULARY,
    Decoder,
    decode,
    encode,
    followers,
    unfinished_after,
)


@settings(deadline=None)
@given(st.text())
def test_decoding_gives_the_text_back(text: str) -> None:
    ids = encode(text)
    assert all(0 <= i < VOCABULARY for i in ids)
    assert decode(ids) == text
    decoder = Decoder()
    assert "".join(map(decoder.step, ids)) == text


@settings(deadline=None)
@given(st.lists(st.integers(0, VOCABULARY - 1)))
def test_any_tokens_decode(ids: list[int]) -> None:
    decoder = Decoder()
    said = "".join(map(decoder.step, ids))
    assert decode(ids).startswith(said)  # but for an unfinished character at the end


def test_ordinary_text_takes_fewer_tokens_than_characters() -> None:
    text = "The quiet river carries a boat under the old bridge. " * 10
    assert len(encode(text)) < len(text) / 3


@settings(deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=60), st.booleans())
def test_characters_that_are_begun_are_finished(choices: list[int], verb_spoken: bool) -> None:
    last, unfinished, ids = SIMULATED, b"", [SIMULATED]
    for choice in choices:
        options = followers(last, unfinished, verb_spoken)
        last = options[choice % len(options)]
        unfinished = unfinished_after(unfinished, last)
        ids.append(last)
    while unfinished:
        last = followers(last, unfinished, verb_spoken)[0]
        unfinished = unfinished_after(unfinished, last)
        ids.append(last)
    assert "\ufffd" not in decode(ids)


def test_the_end_has_no_text() -> None:
    assert TOKEN_BYTES[EOS] == b""
    assert len(TOKEN_BYTES) == VOCABULARY
