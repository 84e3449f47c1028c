"""Token ids to text and bytes for vLLM: an incremental decoder for `text.speak`, and the bytes behind log-probabilities.

vLLM itself is told not to decode (a continued answer must be decoded from its first token, see `workers/text.py`), so what its
own detokenizer would say is said here, character for character. Nothing here may touch the engine.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from workers.engine import Alternative, TokenLogprob

UNFINISHED = "\ufffd"  # what a decoder shows in place of a character that lacks bytes
PRIMING_TOKENS = (8, 64)  # how much of the prompt's end to decode; more only if these show no text
CHARACTER_TOKENS = 4  # a UTF-8 character has at most four bytes, so at most four tokens


@dataclass(frozen=True, slots=True)
class Manner:
    """How the ids of one answer become text.

    skip_special       special tokens have no text
    spaces_between     special tokens that follow each other may be parted by the tokenizer's space
    silent             ids without text whatever else holds: the end-of-sequence token that ends the answer
    """

    skip_special: bool = True
    spaces_between: bool = True
    silent: Collection[int] = ()


class Vocabulary:
    """What a Hugging Face tokenizer knows, without its Python layers where it has a fast core."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._core = getattr(tokenizer, "_tokenizer", None)

    def decode(self, ids: Sequence[int], skip_special: bool) -> str:
        source = self._core if self._core is not None else self._tokenizer
        return str(source.decode(list(ids), skip_special_tokens=skip_special))

    @cached_property
    def added(self) -> Mapping[int, str]:
        """Special and added tokens: their text is themselves."""
        return {i: str(token.content) for i, token in self._tokenizer.added_tokens_decoder.items()}

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes one token stands for; no text at all for an id that the tokenizer does not know."""
        if (known := self.added.get(token_id)) is not None:
            return known.encode()
        token = self._tokenizer.convert_ids_to_tokens(token_id)
        if token is None:
            return b""
        if self._byte_level:
            return bytes(BYTE_OF[c] for c in token if c in BYTE_OF)
        if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            return bytes.fromhex(token[3:5])
        return str(token).replace("\u2581", " ").encode()

    @cached_property
    def _byte_level(self) -> bool:
        """Whether tokens are spelled in GPT-2's convention. Its space is a letter elsewhere, so ask what it decodes to."""
        space = self._tokenizer.convert_tokens_to_ids("\u0120")
        return space is not None and self.decode([space], skip_special=False) == " "


def byte_characters() -> dict[str, int]:
    """GPT-2's printable stand-in for each byte: itself where it is printable Latin-1, else the next free one from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("\u00a1"), ord("\u00ac") + 1), *range(ord("\u00ae"), 256)]
    rest = [b for b in range(256) if b not in set(printable)]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(rest)}


BYTE_OF = byte_characters()


class Decoder:
    """Decodes one answer token by token, in the light of the end of its prompt.

    A token's text depends on its neighbours (a leading space is dropped at the start of a text, a character may take several
    tokens), so each step decodes the tokens since the last emitted text together with those behind that text, and emits what
    is new, unless a character is still unfinished.
    """

    def __init__(self, vocabulary: Vocabulary, prompt_ids: Sequence[int], manner: Manner) -> None:
        self._vocabulary = vocabulary
        self._manner = manner
        self._special = vocabulary.added if not manner.spaces_between and not manner.skip_special else {}
        self._after_special = False
        whole, cut = split_at_last_character(prompt_ids, self._decode)
        self._said = list(whole)
        self._new: list[int] = list(cut)

    def step(self, token_id: int) -> str:
        if token_id in self._manner.silent:
            return ""
        self._new.append(token_id)
        before = self._decode(self._said)
        text = self._decode(self._said + self._new)
        if len(text) <= len(before) or text.endswith(UNFINISHED):
            new = ""
        else:
            self._said, self._new = self._new, []
            new = text[len(before) :]
        return self._without_space(token_id, new)

    def _without_space(self, token_id: int, text: str) -> str:
        special = self._special.get(token_id)
        follows, self._after_special = self._after_special, special is not None
        return special if special is not None and follows else text

    def _decode(self, ids: Sequence[int]) -> str:
        return self._vocabulary.decode(ids, self._manner.skip_special)


def split_at_last_character(
    prompt_ids: Sequence[int], decode: Callable[[Sequence[int]], str]
) -> tuple[Sequence[int], Sequence[int]]:
    """The end of the prompt as (tokens of whole characters, tokens of a character that the answer has to finish)."""
    tail: Sequence[int] = prompt_ids
    for size in PRIMING_TOKENS:
        if len(prompt_ids) > size and decode(prompt_ids[-size:]):
            tail = prompt_ids[-size:]
            break
    for cut in range(min(CHARACTER_TOKENS, len(tail))):
        whole = tail[: len(tail) - cut]
        if not decode(whole).endswith(UNFINISHED):
            return whole, tail[len(tail) - cut :]
    return tail, ()


def spell(
    vocabulary: Vocabulary, token_ids: Sequence[int], steps: Sequence[Mapping[int, Any]], alternatives: int
) -> tuple[TokenLogprob, ...]:
    """vLLM's {token id: Logprob} of each step, with every token spelled out.

    `alternatives` caps the list of the likeliest tokens; negative means all that vLLM sent.
    """
    return tuple(_spell_step(vocabulary, token_id, step, alternatives) for token_id, step in zip(token_ids, steps, strict=True))


def _spell_step(vocabulary: Vocabulary, token_id: int, step: Mapping[int, Any], alternatives: int) -> TokenLogprob:
    likeliest = sorted(step.items(), key=lambda entry: -entry[1].logprob)
    kept = likeliest if alternatives < 0 else likeliest[:alternatives]
    top = tuple(Alternative(i, *_shown(vocabulary, i), float(entry.logprob)) for i, entry in kept)
    return TokenLogprob(token_id, *_shown(vocabulary, token_id), float(step[token_id].logprob), top)


def _shown(vocabulary: Vocabulary, token_id: int) -> tuple[str, bytes]:
    raw = vocabulary.token_bytes(token_id)
    return raw.decode(errors="replace"), raw
