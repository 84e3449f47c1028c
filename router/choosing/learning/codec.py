"""What routers share of what they learnt, as bytes, and how one adds to it. Pure.

The record of one artefact: magic, version and sizes; how far the routers stepped back; who wrote last under which number, so
that a delta sent twice counts once; then per pool its name and sums. Little-endian, the moments as their upper triangle (they
are symmetric), a digest over everything at the end. A record that is not exactly that is refused, never half taken.
"""

import struct
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from router.choosing.learning.context import WIDTH
from router.choosing.learning.evidence import HALF_LIFE_OUTCOMES, Evidence, faded, heaviest, left_after, merged, no_evidence
from router.choosing.learning.learner import MOST_POOLS
from router.snapshot import Floats

MAGIC = b"HGL1"
LARGEST_BYTES = 4 * 1024 * 1024
WRITERS_KEPT_S = 24 * 3600.0
MOST_WRITERS = 1000
DROPPED_LEARNING, DROPPED_ARTEFACT = 1, 2

_HEADER = struct.Struct("<4sHHHHd")  # magic, width, level, writers, pools, at_s
_WRITER = struct.Struct("<16sQd")  # id, number, at_s
_NAME = struct.Struct("<H")
_DIGEST_BYTES = 16
_UPPER = np.triu_indices(WIDTH)
_NUMBERS = 1 + WIDTH + len(_UPPER[0])
# Rounding of sums of millions of outcomes.
_SLACK = 1e-6
# Forgetting keeps a pool's weight below 1.5 half-lives.
_MOST_WEIGHT = 2 * HALF_LIFE_OUTCOMES


class RecordRefused(Exception):
    """The bytes are no record; the text says why, and has nothing of them in it."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all routers together know under one artefact.

    level     0, DROPPED_LEARNING or DROPPED_ARTEFACT: the furthest that any of them stepped back
    writers   by router process: the number of its last delta, and when it came
    at_s      when this was written, Unix seconds of the store's clock
    """

    evidence: Evidence
    level: int = 0
    writers: tuple[tuple[bytes, int, float], ...] = ()
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Delta:
    """What one router adds: `number` counts up with each delta of `writer`, 16 bytes. `evidence` None: nothing but `level`."""

    writer: bytes
    number: int
    evidence: Evidence | None = None
    level: int = 0


def nothing_shared(now_s: float) -> Shared:
    return Shared(no_evidence(), at_s=now_s)


def at(shared: Shared, now_s: float) -> Shared:
    """The same, later: its evidence faded."""
    return replace(shared, evidence=faded(shared.evidence, left_after(now_s - shared.at_s)), at_s=now_s)


def applied(shared: Shared, delta: Delta, now_s: float) -> Shared:
    """With the delta in it; one that is in it already is not added again. Once learning is dropped there is no evidence."""
    later = at(shared, now_s)
    last = {writer: (number, when_s) for writer, number, when_s in later.writers if now_s - when_s < WRITERS_KEPT_S}
    evidence = later.evidence
    if delta.evidence is not None and last.get(delta.writer, (0, 0.0))[0] < delta.number:
        both = merged(evidence, delta.evidence)
        # Verdicts that were taken back may, after fading, come to a little more than was ever there.
        most = np.maximum(both.weight, 0.0)[:, None]
        products = np.clip(both.products, -most, most)
        evidence = heaviest(replace(both, products=products, seen=np.zeros(len(both.pools))), MOST_POOLS)
        last[delta.writer] = (delta.number, now_s)
    latest = sorted(last.items(), key=lambda item: -item[1][1])[:MOST_WRITERS]
    level = max(later.level, delta.level)
    writers = tuple((writer, number, when_s) for writer, (number, when_s) in latest)
    return Shared(no_evidence() if level else evidence, level, writers, now_s)


def encode(shared: Shared) -> bytes:
    evidence = shared.evidence
    parts = [_HEADER.pack(MAGIC, WIDTH, shared.level, len(shared.writers), len(evidence.pools), shared.at_s)]
    parts += [_WRITER.pack(*writer) for writer in shared.writers]
    for row, pool in enumerate(evidence.pools):
        name = pool.encode("utf-8", "surrogatepass")
        numbers = np.concatenate(([evidence.weight[row]], evidence.products[row], evidence.moments[row][_UPPER]))
        parts += [_NAME.pack(len(name)), name, numbers.astype("<f8").tobytes()]
    content = b"".join(parts)
    return content + blake2b(content, digest_size=_DIGEST_BYTES).digest()


def decode(data: bytes) -> Shared:
    """Raises RecordRefused."""
    if not _HEADER.size + _DIGEST_BYTES <= len(data) <= LARGEST_BYTES:
        raise RecordRefused(f"{len(data)} bytes are no record")
    content, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    magic, width, level, writer_count, pool_count, at_s = _HEADER.unpack_from(content)
    if magic != MAGIC or width != WIDTH:
        raise RecordRefused("another version's record")
    if blake2b(content, digest_size=_DIGEST_BYTES).digest() != digest:
        raise RecordRefused("the digest does not fit the content")
    try:
        writers, offset = _read_writers(content, writer_count)
        names, numbers = _read_pools(content, offset, pool_count)
    except (struct.error, ValueError) as fault:  # ValueError: a name or an array that is not whole
        raise RecordRefused("it ends early or a name in it is no text") from fault
    return Shared(_evidence(names, numbers), _level(level, at_s), writers, at_s)


def _read_writers(content: bytes, count: int) -> tuple[tuple[tuple[bytes, int, float], ...], int]:
    offset = _HEADER.size
    writers = tuple(_WRITER.unpack_from(content, offset + at * _WRITER.size) for at in range(count))
    return writers, offset + count * _WRITER.size


def _read_pools(content: bytes, offset: int, count: int) -> tuple[tuple[str, ...], Floats]:
    names, numbers = [], np.empty((count, _NUMBERS))
    for row in range(count):
        (length,) = _NAME.unpack_from(content, offset)
        offset += _NAME.size
        if offset + length > len(content):
            raise ValueError("a name ends early")
        names.append(content[offset : offset + length].decode("utf-8", "surrogatepass"))
        offset += length
        numbers[row] = np.frombuffer(content, "<f8", _NUMBERS, offset)
        offset += _NUMBERS * 8
    if offset != len(content) or len(set(names)) != count:
        raise ValueError("more than it says, or a pool twice")
    return tuple(names), numbers


def _level(level: int, at_s: float) -> int:
    if not np.isfinite(at_s) or level > DROPPED_ARTEFACT:
        raise RecordRefused("its level or time is none")
    return level


def _evidence(names: tuple[str, ...], numbers: Floats) -> Evidence:
    """Refuses sums that no outcomes come to: they would upset the regression."""
    weight, products, upper = numbers[:, 0], numbers[:, 1 : 1 + WIDTH], numbers[:, 1 + WIDTH :]
    moments = np.zeros((len(names), WIDTH, WIDTH))
    moments[:, _UPPER[0], _UPPER[1]] = upper
    moments[:, _UPPER[1], _UPPER[0]] = upper
    most = (weight * (1 + _SLACK) + _SLACK)[:, None]
    possible = np.isfinite(numbers).all() and (weight >= 0).all() and (weight <= _MOST_WEIGHT).all()
    # The constant of the context is 1, so the first moment is the weight.
    if not possible or (np.abs(numbers[:, 1:]) > most).any() or (upper[:, 0] < weight * (1 - _SLACK) - _SLACK).any():
        raise RecordRefused("its sums are beyond what outcomes can come to")
    try:
        np.linalg.cholesky(moments + np.eye(WIDTH) * most[:, :, None] * _SLACK)
    except np.linalg.LinAlgError as fault:
        raise RecordRefused("its moments are none") from fault
    return Evidence(names, weight.copy(), moments, products.copy(), np.zeros(len(names)))
