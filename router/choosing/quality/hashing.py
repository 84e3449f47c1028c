"""Fixed 64-bit numbers and the hash of a word, the same in every process and release. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

MASK: Final = 2**64 - 1
# The base of the polynomial; odd, so that it has an inverse modulo 2^64.
MULTIPLIER: Final = 0x9E3779B97F4A7C15


def mixed(count: int, seed: int) -> NDArray[np.uint64]:
    """`count` well mixed values: the SplitMix64 sequence (Steele, Lea, Flood 2014) from `seed`."""
    values, state = [], seed
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        value = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
        values.append(value ^ (value >> 31))
    return np.array(values, dtype=np.uint64)


def powers(of: int, count: int) -> NDArray[np.uint64]:
    """of^0, of^1, … modulo 2^64."""
    values = [1]
    for _ in range(count - 1):
        values.append(values[-1] * of & MASK)
    return np.array(values, dtype=np.uint64)


# Of each byte; the last factor moves the entropy into the top bits, which choose the bucket.
VALUES: Final = mixed(256, 1)
WORD: Final = mixed(1, 5)[0] | np.uint64(1)


def hash_word(word: bytes) -> int:
    """Of one word in lower case: what `text.read` finds for it by running sums."""
    total = sum(int(VALUES[byte]) * pow(MULTIPLIER, at, MASK + 1) for at, byte in enumerate(word))
    return total * int(WORD) & MASK
