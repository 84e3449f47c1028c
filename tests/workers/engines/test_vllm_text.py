"""Decoding for vLLM, on small tokenizers of our own: bytes as GPT-2 spells them, and pieces as SentencePiece does."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from workers.engines.vllm.text import BYTE_OF, Decoder, Manner, Vocabulary, spell, split_at_last_character

CHARACTER_OF = {byte: character for character, byte in BYTE_OF.items()}


class ByteTokenizer:
    """Ids 0 to 255 are bytes, 256 is `<end>`, 257 is `<start>`."""

    added_tokens_decoder: Mapping[int, Any] = MappingProxyType(
        {256: SimpleNamespace(content="<end>"), 257: SimpleNamespace(content="<start>")}
    )

    def decode(self, ids: Sequence[int], skip_special_tokens: bool) -> str:
        parts = [bytes((i,)) if i < 256 else b"" if skip_special_tokens else self._special(i) for i in ids]
        return b"".join(parts).decode(errors="replace")

    def _special(self, token_id: int) -> bytes:
        return str(self.added_tokens_decoder[token_id].content).encode()

    def convert_ids_to_tokens(self, token_id: int) -> str | None:
        return CHARACTER_OF.get(token_id)

    def convert_tokens_to_ids(self, token: str) -> int | None:
        return BYTE_OF.get(token)


class PieceTokenizer(ByteTokenizer):
    """SentencePiece's habit: a leading space belongs to the word, and is dropped where the text begins."""

    pieces = ("▁Hello", "▁world", "!", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "▁")

    def decode(self, ids: Sequence[int], skip_special_tokens: bool) -> str:
        raw = b""
        for piece in (self.pieces[i] for i in ids):
            raw += bytes.fromhex(piece[3:5]) if piece.startswith("<0x") else piece.replace("▁", " ").encode()
        return raw.decode(errors="replace").removeprefix(" ")

    def convert_ids_to_tokens(self, token_id: int) -> str | None:
        return self.pieces[token_id]

    def convert_tokens_to_ids(self, token: str) -> int | None:
        return None


BYTES, PIECES = Vocabulary(ByteTokenizer()), Vocabulary(PieceTokenizer())
TEXTS = ("plain", "Grüße 😀👍🏽 日本語", "a\nb  c", "é", "")


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("prompt", ["", "A prompt", "ends 😀"])
def test_steps_add_up_to_the_text_and_split_no_character(text: str, prompt: str) -> None:
    decoder = Decoder(BYTES, list(prompt.encode()), Manner())
    steps = [decoder.step(i) for i in text.encode()]
    assert "".join(steps) == text
    assert "\ufffd" not in "".join(steps)


def test_a_prompt_that_ends_within_a_character_is_not_said_again() -> None:
    whole = "a long prompt with an emoji 😀".encode()
    decoder = Decoder(BYTES, list(whole[:-2]), Manner())
    assert decoder.step(whole[-2]) == ""
    assert decoder.step(whole[-1]) == "😀"
    assert decoder.step(ord("!")) == "!"


def test_the_space_before_a_word_is_kept_behind_a_prompt() -> None:
    behind, alone = Decoder(PIECES, [0], Manner()), Decoder(PIECES, [], Manner())
    assert [behind.step(1), behind.step(2)] == [" world", "!"]
    assert [alone.step(0), alone.step(1)] == ["Hello", " world"]


def test_bytes_that_never_become_a_character_come_out_with_what_follows() -> None:
    decoder = Decoder(BYTES, [], Manner())
    assert [decoder.step(i) for i in (0xFF, 0xF0, ord("a"))] == ["", "", "\ufffd\ufffda"]


def test_special_tokens() -> None:
    hidden, shown = Decoder(BYTES, [], Manner()), Decoder(BYTES, [], Manner(skip_special=False))
    silent = Decoder(BYTES, [], Manner(skip_special=False, silent=(256,)))
    assert [hidden.step(i) for i in (ord("a"), 256, ord("b"))] == ["a", "", "b"]
    assert [shown.step(i) for i in (ord("a"), 256, 257)] == ["a", "<end>", "<start>"]
    assert [silent.step(i) for i in (ord("a"), 256)] == ["a", ""]


@pytest.mark.parametrize(
    ("ids", "cut"),
    [(b"", 0), (b"abc", 0), ("ab😀".encode(), 0), ("ab😀".encode()[:-1], 3), ("é".encode()[:1], 0), (b"x" * 200, 0)],
)
def test_where_a_prompt_is_split(ids: bytes, cut: int) -> None:
    whole, unfinished = split_at_last_character(list(ids), lambda some: BYTES.decode(some, True))
    assert len(unfinished) == cut
    assert ids.endswith(bytes([*whole, *unfinished]))


def test_tokens_that_are_part_of_a_character_have_their_bytes() -> None:
    assert BYTES.token_bytes(0xF0) == b"\xf0"
    assert BYTES.token_bytes(256) == b"<end>"
    assert BYTES.token_bytes(300) == b""
    assert PIECES.token_bytes(0) == b" Hello"
    assert PIECES.token_bytes(3) == b"\xf0"


def test_logprobs_are_spelled_and_sorted() -> None:
    step = {97: SimpleNamespace(logprob=-2.0), 0xF0: SimpleNamespace(logprob=-0.5), 98: SimpleNamespace(logprob=-1.0)}
    (chosen,) = spell(BYTES, [97], [step], 2)
    assert (chosen.token, chosen.token_bytes, chosen.logprob) == ("a", b"a", -2.0)
    assert [(a.token, a.token_bytes) for a in chosen.top] == [("\ufffd", b"\xf0"), ("b", b"b")]
    assert len(spell(BYTES, [97], [step], -1)[0].top) == 3
