"""The simulated engine's vocabulary: a reversible tokenizer over bytes, letter pairs and words, and what may follow what.

Ids 0 to 255 are bytes, 256 ends an answer, the rest are pieces. Answers are built from words that fit each other a little, so
that they are readable, with now and then a CJK character or an emoji: those are several byte tokens each, so that an answer
may be cut inside a character, as real ones are.
"""

import codecs
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from string import ascii_lowercase

EOS = 256
_FIRST_PIECE = 257


def _spaced(words: str) -> tuple[str, ...]:
    return tuple(f" {word}" for word in words.split())


_KINDS = {
    "determiner": _spaced("the a every this that another no each"),
    "opener": _spaced("The A Every This Each Another"),
    "adjective": _spaced(
        "quiet bright small old green patient hidden simple broad careful distant wide gentle honest narrow open rapid silver"
    ),
    "noun": _spaced(
        "river gate stone garden engine letter bridge harbour window forest signal winter market answer mountain valley story"
        " road light lake canal mill boat field clock town meadow spring"
    ),
    "verb": _spaced("carries follows opens meets keeps turns finds crosses holds guides reaches leaves feeds watches"),
    "adverb": _spaced("slowly again today often together softly later early"),
    "preposition": _spaced("under over near behind between beside across through"),
    "comma": (", and",),
    "end": (".",),
}
_FOREIGN = ("河", "水", "門", "光", "日", "本", "語", "길", "물", "é", "ß", "λ", "😀", "🌊", "🚀", "👍🏽")
_SAID = "[simulated]"
_PAIRS = tuple(map("".join, product(ascii_lowercase, repeat=2)))
_SPACED_LETTERS = tuple(f" {letter}" for letter in ascii_lowercase)
_PIECES = tuple(dict.fromkeys((_SAID, *(word for words in _KINDS.values() for word in words), *_SPACED_LETTERS, *_PAIRS)))

VOCABULARY = _FIRST_PIECE + len(_PIECES)
TOKEN_BYTES = (*(bytes((i,)) for i in range(256)), b"", *(piece.encode() for piece in _PIECES))
LONGEST_TOKEN = max(map(len, _PIECES))  # characters
_ID_OF = {piece: _FIRST_PIECE + i for i, piece in enumerate(_PIECES)}
SIMULATED = _ID_OF[_SAID]
FULL_STOP = _ID_OF["."]

_LEADS = tuple(dict.fromkeys(c.encode()[0] for c in _FOREIGN))
_WORDS = {kind: tuple(_ID_OF[word] for word in words) for kind, words in _KINDS.items()}
_AFTER_KIND = {
    "determiner": (*_WORDS["adjective"], *_WORDS["noun"]),
    "opener": (*_WORDS["adjective"], *_WORDS["noun"]),
    "adjective": _WORDS["noun"],
    "noun": (*_WORDS["verb"], *_LEADS),
    "verb": (*_WORDS["determiner"], *_WORDS["adverb"]),
    "adverb": (*_WORDS["preposition"], *_WORDS["end"]),
    "preposition": _WORDS["determiner"],
    "comma": _WORDS["determiner"],
    "end": _WORDS["opener"],
}
_FOLLOWS = {_ID_OF[w]: _AFTER_KIND[kind] for kind, words in _KINDS.items() for w in words} | {SIMULATED: _WORDS["opener"]}
# Behind a sentence's verb its nouns are followed by what ends it.
_TO_AN_END = (*_WORDS["preposition"], *_WORDS["comma"] * 4, *_WORDS["end"] * 8, *_LEADS)
_FOLLOWS_LATE = _FOLLOWS | dict.fromkeys(_WORDS["noun"], _TO_AN_END)
_VERB_SPOKEN = dict.fromkeys(_WORDS["verb"], True) | dict.fromkeys((*_WORDS["comma"], *_WORDS["end"]), False)

# The bytes that may come next within an unfinished character.
_CONTINUE: dict[bytes, tuple[int, ...]] = {}
for _char in (c.encode() for text in _FOREIGN for c in text):
    for _at in range(1, len(_char)):
        _known = _CONTINUE.get(_char[:_at], ())
        _CONTINUE[_char[:_at]] = _known if _char[_at] in _known else (*_known, _char[_at])


def followers(token: int, unfinished: bytes, verb_spoken: bool) -> tuple[int, ...]:
    """The tokens that may come after `token`, or that continue the character whose first bytes are `unfinished`."""
    if unfinished:
        return _CONTINUE[unfinished]
    return _FOLLOWS_LATE.get(token, _TO_AN_END) if verb_spoken else _FOLLOWS.get(token, _AFTER_KIND["noun"])


def verb_spoken_after(verb_spoken: bool, token: int) -> bool:
    """Whether the sentence has its verb once `token` has come."""
    return _VERB_SPOKEN.get(token, verb_spoken)


def unfinished_after(unfinished: bytes, token: int) -> bytes:
    """The bytes of a character that is not complete once `token` has come; empty when there is none."""
    if token >= 256:
        return b""
    begun = unfinished + TOKEN_BYTES[token]
    return begun if begun in _CONTINUE else b""


_UNITS = re.compile(r"\[simulated\]|, and| ?[A-Za-z]{1,32}|.", re.DOTALL)


def encode(text: str) -> list[int]:
    """Token ids of a text; `decode` of them is the text again."""
    ids: list[int] = []
    for unit in _UNITS.findall(text):
        ids += _unit_ids(unit)
    return ids


@lru_cache(maxsize=65536)
def _unit_ids(unit: str) -> tuple[int, ...]:
    if (whole := _ID_OF.get(unit)) is not None:
        return (whole,)
    ids: list[int] = []
    at = 0
    while at < len(unit):
        pair = _ID_OF.get(unit[at : at + 2]) if at + 2 <= len(unit) else None
        ids += (pair,) if pair is not None else unit[at].encode(errors="surrogatepass")
        at += 2 if pair is not None else 1
    return tuple(ids)


def decode(ids: Sequence[int]) -> str:
    """The text of whole tokens; bytes that are no UTF-8 become U+FFFD."""
    return b"".join(TOKEN_BYTES[i] for i in ids).decode(errors="replace")


class Decoder:
    """Decodes one answer token by token (`workers.text.TokenDecoder`)."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def step(self, token_id: int) -> str:
        return self._utf8.decode(TOKEN_BYTES[token_id])
