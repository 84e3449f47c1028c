"""Sentence vectors without a model: hashed character n-grams. Texts that share words are near each other, no more. Pure."""

from collections.abc import Sequence
from math import sqrt
from zlib import crc32


def embed(text: str, dimensions: int) -> list[float]:
    """A vector of length 1 (of zeros for a text without characters), the same in every process."""
    padded = f" {' '.join(text.lower().split())} "
    vector = [0.0] * dimensions
    for size in (3, 4, 5):
        for start in range(len(padded) - size + 1):
            digest = crc32(padded[start : start + size].encode(errors="surrogatepass"))
            vector[digest % dimensions] += 1.0 if digest >> 31 else -1.0
    return normalised(vector)


def normalised(vector: Sequence[float]) -> list[float]:
    """The vector at length 1; a zero vector stays as it is."""
    norm = sqrt(sum(value * value for value in vector))
    return [value / norm for value in vector] if norm else list(vector)
