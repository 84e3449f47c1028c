"""What a text looks like, whatever it says: length, alphabet, digits, lines, repeats, words that shape a question. Pure.

These counts tell hard prompts from easy ones in domains that nobody trained on, where words say little.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.choosing.features import Features
from router.choosing.quality.hashing import hash_word
from router.snapshot import Floats

Places = NDArray[np.intp]
Hashes = NDArray[np.uint64]

# Counted byte by byte, in these classes.
_CLASSES: Final = (
    b"abcdefghijklmnopqrstuvwxyz", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"0123456789", b" \t\r", b"\n", b"?", b".", b",", b"$", b"%",
    b"()[]", b"{}", b"=<>", b"\\", b"\"'`", b"_", b"|", b"^", b"+*/", b"-", b":;", b"!@#&~", bytes(range(128, 256)),
)  # fmt: skip
_COUNTS: Final = len(_CLASSES)
_CLASS_OF = bytearray([_COUNTS - 2]) * 256  # what is not named counts as rare punctuation
for _at, _members in enumerate(_CLASSES):
    for _byte in _members:
        _CLASS_OF[_byte] = _at
_CLASSIFY = bytes(_CLASS_OF)

# Counted word by word.
_ASKING: Final = (
    b"not no never cannot neither nor", b"except least false incorrect wrong", b"following", b"which", b"what",
    b"how many much", b"why explain describe", b"who whom whose", b"when year where", b"statement statements true",
    b"all both none above", b"each every per", b"if suppose assume let", b"half twice times double", b"percent percentage rate",
    b"more less than most",
    b"find calculate compute solve", b"write function return def", b"he she his her they", b"passage according text article",
)  # fmt: skip
_ASKED: Final = len(_ASKING)
_ASKING_BITS: Final = 16
_SHORT: Final = np.uint64(64 - _ASKING_BITS)
# Of each bucket of word hashes: its class, the last for none.
_ASKING_OF = np.full(1 << _ASKING_BITS, _ASKED, dtype=np.uint8)
for _at, _members in enumerate(_ASKING):
    for _word in _members.split():
        _ASKING_OF[hash_word(_word) >> (64 - _ASKING_BITS)] = _at

# By its first byte a word is plain (0), has a capital (1) or is a number (2).
_KIND_OF = np.zeros(256, dtype=np.uint8)
_KIND_OF[ord("A") : ord("Z") + 1] = 1
_KIND_OF[ord("0") : ord("9") + 1] = 2

# Words are told apart by so many bits of their hash where repeats are counted.
_SAME: Final = (1 << 11) - 1
_LAST_LINES: Final = 5
_LONG_LETTERS: Final = 8
_WORDS: Final = 6
_LINES: Final = 5
_KNOWN: Final = 9
_NO_WORDS: Final[tuple[float, ...]] = (0.0,) * _WORDS
_NO_LINES: Final[tuple[float, ...]] = (0.0,) * _LINES
_SINGLE: Final = _COUNTS + _ASKED
NUMBERS: Final = _SINGLE + _WORDS + _LINES + _KNOWN


def form_of(features: Features, padded: bytes, words: Hashes, starts: Places, lengths: Places) -> Floats:
    """Natural logarithms of 1 + each count, float64[NUMBERS]. `padded` is the text; the rest is of its words."""
    numbers = np.zeros(NUMBERS)
    numbers[:_COUNTS] = np.bincount(np.frombuffer(padded.translate(_CLASSIFY), dtype=np.uint8), minlength=_COUNTS)
    of_words, of_lines = _NO_WORDS, _NO_LINES
    if len(words):
        short = (words >> _SHORT).view(np.int64)
        numbers[_COUNTS:_SINGLE] = np.bincount(_ASKING_OF.take(short), minlength=_ASKED + 1)[:_ASKED]
        same = short & _SAME
        of_words = _of_words(padded, same, starts, lengths)
        of_lines = _of_lines(padded, same, starts)
    numbers[_SINGLE:] = (
        *of_words, *of_lines,
        features.prompt_tokens, features.turns, features.other_share, features.code, features.maths, features.multi_step,
        features.question, features.constrained, features.tools,
    )  # fmt: skip
    return np.log1p(numbers, out=numbers)


def _of_words(padded: bytes, words: Places, starts: Places, lengths: Places) -> tuple[float, ...]:
    """Words, their mean length, long ones, repeats, capitals, numbers."""
    count = len(words)
    first = np.frombuffer(padded, dtype=np.uint8).take(starts)
    _, capitals, figures = np.bincount(_KIND_OF.take(first), minlength=3).tolist()
    long = int(np.count_nonzero(lengths > _LONG_LETTERS))
    return count, int(np.add.reduce(lengths)) / count, long, _repeats(words), capitals, figures


def _of_lines(padded: bytes, words: Places, starts: Places) -> tuple[float, ...]:
    """Bytes before the last few lines; mean, least and greatest length of those, and repeats in them. Zeros for one line."""
    lines = padded.rsplit(b"\n", _LAST_LINES)
    if len(lines) == 1:
        return _NO_LINES
    before, *lengths = map(len, lines)
    repeats = _repeats(words[starts.searchsorted(before) :])
    return before, sum(lengths) / len(lengths), min(lengths), max(lengths), repeats


def _repeats(words: Places) -> float:
    """Words that were there before, in tenths of all: low where everything is said once, high where options are alike."""
    if not len(words):
        return 0.0
    distinct = int(np.count_nonzero(np.bincount(words)))
    return 10.0 - 10.0 * distinct / len(words)
