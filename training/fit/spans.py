"""Prompts as the router sees them: hashed words, and counts of form, for all rows. Pure.

Owns the choice of known spans (by how many prompts hold them) and their weights. Only hashes are kept, no word of a prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from router.choosing.quality.form import NUMBERS
from router.choosing.quality.text import read
from training.outcomes.table import Floats, read_features

BITS = 18
MOST_SPANS = 24_000
# Spans of fewer prompts than this say nothing about other prompts.
_LEAST_PROMPTS = 2
# Enough prompts to count spans on, whatever the table's size.
_COUNTED_PROMPTS = 20_000

Buckets = NDArray[np.uint32]


@dataclass(frozen=True)
class Spans:
    """slots uint32[2^BITS]: row of each bucket, 0 for unknown; weights float64[V+1], that of row 0 is 0."""

    slots: NDArray[np.uint32]
    weights: Floats


@dataclass(frozen=True)
class Looked:
    """Of N prompts: numbers float64[N, NUMBERS]; buckets of the spans of each, repeats included."""

    numbers: Floats
    buckets: tuple[Buckets, ...]


def look(prompts: Sequence[str]) -> Looked:
    numbers = np.zeros((len(prompts), NUMBERS))
    buckets = []
    for row, prompt in enumerate(prompts):
        text = read(read_features(prompt))
        numbers[row] = text.numbers
        buckets.append((text.words >> np.uint64(64 - BITS)).astype(np.uint32))
    return Looked(numbers, tuple(buckets))


def choose_spans(buckets: Sequence[Buckets]) -> Spans:
    """The spans that most prompts share, weighted by inverse document frequency."""
    counted = buckets[:_COUNTED_PROMPTS]
    held = np.zeros(1 << BITS, dtype=np.int64)
    for each in counted:
        held[np.unique(each)] += 1
    known = np.flatnonzero(held >= _LEAST_PROMPTS)
    known = np.sort(known[np.argsort(-held[known], kind="stable")[:MOST_SPANS]])
    slots = np.zeros(1 << BITS, dtype=np.uint32)
    slots[known] = np.arange(1, len(known) + 1, dtype=np.uint32)
    weights = np.zeros(len(known) + 1)
    weights[1:] = np.log((1 + len(counted)) / (1 + held[known])) + 1.0
    return Spans(slots, weights)


def matrix(buckets: Sequence[Buckets], spans: Spans) -> csr_matrix:
    """float32[N, V+1]: how often each known span occurs, times its weight."""
    columns, values, ends = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.float32)], [0]
    for each in buckets:
        rows, count = np.unique(spans.slots[each], return_counts=True)
        keep = rows > 0
        columns.append(rows[keep].astype(np.int32))
        values.append((count[keep] * spans.weights[rows[keep]]).astype(np.float32))
        ends.append(ends[-1] + int(keep.sum()))
    shape = (len(buckets), len(spans.weights))
    return csr_matrix((np.concatenate(values), np.concatenate(columns), ends), shape=shape)


def known_shares(buckets: Sequence[Buckets], spans: Spans) -> Floats:
    """float64[N]: share of each prompt's spans that are in the table; 0 without spans."""
    return np.array([np.count_nonzero(spans.slots[each]) / max(len(each), 1) for each in buckets])
