"""Numbers that stand for a text: hashes of its words, and counts of its form. Pure.

Owns how text becomes features; training and router both call `read`, so they can't differ. All hashes come from one running sum
over the bytes, sum(value[byte] * P^position) modulo 2^64: the hash of a word is a difference of two sums, brought back to
position 0 by the inverse power. So all words cost four steps of numpy, and the same text has the same hashes in every process
and release (`SPEC` names the way; an artefact that was made for another one is refused).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.choosing.features import Features
from router.choosing.quality.form import form_of
from router.choosing.quality.hashing import MULTIPLIER, VALUES, WORD, powers
from router.snapshot import Floats

Hashes = NDArray[np.uint64]

SPEC: Final = "words-1"
# Half from the start and half from the end, in bytes: what one look costs is bounded whatever the alphabet.
LOOKED_AT: Final = 1024

_PAD: Final = b" "
_LONGEST: Final = LOOKED_AT + 8
_POWERS = powers(MULTIPLIER, _LONGEST)
_BACK = powers(pow(MULTIPLIER, -1, 2**64), _LONGEST) * WORD

_LOWER = bytes(range(256)).lower()
# Letters, digits and every byte of a character beyond ASCII make up words.
_IN_WORD = np.array([byte > 127 or chr(byte).isalnum() for byte in range(256)], dtype=np.bool_)
# Han, kana and Hangul do not part their words: each character is one.
_OWN_WORD = np.array([0xE3 <= byte <= 0xED for byte in range(256)], dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Text:
    """words: 64-bit hashes in the order of the text, repeats included; numbers float64[NUMBERS]."""

    words: Hashes
    numbers: Floats


def read(features: Features) -> Text:
    """Looks once; bounded by LOOKED_AT. An empty window has no words."""
    window = features.window
    if len(window) > LOOKED_AT:
        window = window[: LOOKED_AT // 2] + window[-LOOKED_AT // 2 :]
    padded = _PAD + window + _PAD
    size = len(padded)
    lower = np.frombuffer(padded.translate(_LOWER), dtype=np.uint8)
    sums = np.zeros(size + 1, dtype=np.uint64)
    np.add.accumulate(VALUES.take(lower) * _POWERS[:size], out=sums[1:])
    starts, ends = _bounds(lower, window.isascii())
    words = (sums.take(ends) - sums.take(starts)) * _BACK.take(starts)
    return Text(words, form_of(features, padded, words, starts, ends - starts))


def _bounds(lower: NDArray[np.uint8], ascii_only: bool) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where words start and end. The text is padded, so both are there in equal number."""
    inside = _IN_WORD.take(lower)
    if ascii_only:
        edges = (inside[1:] != inside[:-1]).nonzero()[0] + 1
        return edges[::2], edges[1::2]
    own = _OWN_WORD.take(lower)
    starts = (inside[1:] & (~inside[:-1] | own[1:])).nonzero()[0] + 1
    ends = (inside[:-1] & (~inside[1:] | own[1:])).nonzero()[0] + 1
    return starts, ends
