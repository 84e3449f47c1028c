"""Which replica probably holds the beginning of a prompt: the router's own memory, a hash chain over blocks of its bytes.

Owns that memory and nothing else: it knows bytes and replicas, neither tokens nor load. What it says is a guess that costs a
slower first token when wrong, never a wrong answer: workers match real tokens against their real cache.

Block i's link is the hash of link i-1 and the block's bytes, so equal links mean equal prompts up to there, under equal salts.
Blocks are 256 bytes up to 4 KiB, 1 KiB up to 32 KiB and 4 KiB up to 256 KiB: fine where prompts part, cheap where they are
long, and at most 100 links for a prompt of any size. What follows 256 KiB is not looked at.

Links come from Python's own `hash`, SipHash under a key drawn at process start. The index never leaves the process, and a
tenant that can't know the key can't make two prompts collide. Where PYTHONHASHSEED fixes the key that protection is gone; a
collision still only misplaces a request. One tenant can push another's blocks out of the memory, not read them: isolation is
the salt here, and the engine's own cache salt there.
"""

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router.snapshot import Fleet, Ints, Pool

BLOCK_BYTES = 256
# Where each block ends, in bytes from the start of the prompt.
ENDS = (*range(256, 4096, 256), *range(4096, 32768, 1024), *range(32768, 262144 + 1, 4096))
_MOST_SPARE_SLOTS = 1024


def chain(data: bytes, salt: str) -> tuple[int, ...]:
    """Links of the prompt's whole blocks, first to last. A prompt shorter than one block is one block; an empty one has none.

    `salt` is the tenant's isolation group and the request's own cache salt: prompts under different salts share no link.
    """
    link = hash(salt)
    if len(data) < BLOCK_BYTES:
        return (hash((link, data)),) if data else ()
    links = []
    start = 0
    for end in ENDS[: blocks_within(len(data))]:
        link = hash((link, data[start:end]))
        links.append(link)
        start = end
    return tuple(links)


def blocks_within(prefix_bytes: int) -> int:
    """How many whole blocks the first `prefix_bytes` bytes of a prompt hold."""
    return bisect_right(ENDS, prefix_bytes)


def bytes_of(blocks: int) -> int:
    """How many bytes the first `blocks` blocks of a prompt cover."""
    return ENDS[blocks - 1] if blocks else 0


def cached_share(blocks: int, prompt_bytes: int) -> float:
    """Part of a prompt, 0 to 1, that its first `blocks` blocks cover."""
    return min(bytes_of(blocks) / prompt_bytes, 1.0) if prompt_bytes else 0.0


@dataclass(frozen=True, slots=True)
class _Window:
    """Where the replicas of one pool lie in the bit masks. `gather` is None where bits follow rows without a gap."""

    mask: int
    first: int
    width: int
    gather: NDArray[np.intp] | None


@dataclass(frozen=True, slots=True)
class _Freed:
    """Stands among the blocks for the moment at which a replica was forgotten."""

    slot: int


class PrefixIndex:
    """Bounded memory: link → the replicas that hold the block, one bit each, least recently remembered first.

    A block takes about 210 bytes with 64 replicas: 27 MB at the default capacity, which is 33 MB or more of prompts.
    """

    def __init__(self, capacity_blocks: int = 131_072) -> None:
        if capacity_blocks < 1:
            raise ValueError(f"capacity_blocks: {capacity_blocks} is not positive")
        self._capacity_blocks = capacity_blocks
        self._holders: OrderedDict[int | _Freed, int] = OrderedDict()
        self._slots: dict[str, int] = {}
        self._next_slot = 0
        self._free: list[int] = []
        self._live = 0  # bits of the slots in use
        self._replica_ids: tuple[str, ...] = ()
        self._windows: dict[tuple[int, int], _Window] = {}

    def __len__(self) -> int:
        """Blocks remembered."""
        marks = self._next_slot - len(self._slots) - len(self._free)
        return len(self._holders) - marks

    def matched(self, chain: tuple[int, ...], fleet: Fleet, pool: Pool) -> Ints:
        """Leading blocks of the chain that each replica of the pool probably holds; one entry per row of the pool."""
        window = self._window(fleet, pool)
        counts = np.zeros(window.width, dtype=np.int32)
        alive, depth = window.mask, 0
        for depth, link in enumerate(chain):
            holders = self._holders.get(link, 0) & alive
            if holders != alive:
                if depth:
                    _set_counts(counts, (alive ^ holders) >> window.first, depth)
                alive = holders
                if not alive:
                    break
        if alive and chain:
            _set_counts(counts, alive >> window.first, len(chain))
        return counts if window.gather is None else counts.take(window.gather)

    def deepest(self, chain: tuple[int, ...], fleet: Fleet) -> tuple[int, ...]:
        """Leading blocks that the best replica of each pool probably holds, in the order of `fleet.pools`."""
        masks: list[int] = []
        alive = -1
        for link in chain:
            alive &= self._holders.get(link, 0)
            if not alive:
                break
            masks.append(alive)
        depths = []
        for pool in fleet.pools:
            ours, depth = self._window(fleet, pool).mask, len(masks)
            while depth and not masks[depth - 1] & ours:
                depth -= 1
            depths.append(depth)
        return tuple(depths)

    def remember(self, chain: tuple[int, ...], replica_id: str) -> None:
        """The replica has read this prompt. Parents outlive their children: they are touched last."""
        bit = 1 << self._slot(replica_id)
        holders, live = self._holders, self._live
        for link in reversed(chain):
            holders[link] = holders.get(link, 0) & live | bit
            holders.move_to_end(link)
        self._evict()

    def correct(self, chain: tuple[int, ...], replica_id: str, blocks: int) -> None:
        """The replica turned out to hold only the first `blocks` blocks of this chain.

        A worker's cached-token count tells what it held *before* it read the prompt: call `remember` after this.
        """
        slot = self._slots.get(replica_id)
        if slot is None:
            return
        keep = self._live & ~(1 << slot)
        for link in chain[blocks:]:
            if (holders := self._holders.get(link)) is None:
                continue
            if holders & keep:
                self._holders[link] = holders & keep
            else:
                del self._holders[link]

    def forget(self, replica_id: str) -> None:
        """The replica's cache is gone (new incarnation, cleared), or the replica is.

        Its bit stays in the masks, where no window looks at it any more. The slot is given out again once everything older than
        this moment has been touched (which takes the bit out) or has left: that is when its mark comes to the old end.
        """
        slot = self._slots.pop(replica_id, None)
        if slot is None:
            return
        self._live &= ~(1 << slot)
        self._holders[_Freed(slot)] = 0
        self._windows.clear()
        if self._next_slot > 2 * len(self._slots) + _MOST_SPARE_SLOTS:
            self._start_anew()

    def _slot(self, replica_id: str) -> int:
        slot = self._slots.get(replica_id)
        if slot is None:
            if self._free:
                slot = self._free.pop()
            else:
                slot = self._next_slot
                self._next_slot += 1
            self._slots[replica_id] = slot
            self._live |= 1 << slot
            self._windows.clear()
        return slot

    def _evict(self) -> None:
        """Drops what is over capacity, oldest first, and marks that have come to the old end."""
        holders = self._holders
        while len(holders) > self._capacity_blocks or (holders and type(next(iter(holders))) is _Freed):
            oldest, _ = holders.popitem(last=False)
            if isinstance(oldest, _Freed):
                self._free.append(oldest.slot)

    def _start_anew(self) -> None:
        """Thousands of restarts while the memory never turned over once: it is not worth wider and wider masks."""
        self._holders.clear()
        self._free.clear()
        self._slots = {replica_id: slot for slot, replica_id in enumerate(self._slots)}
        self._next_slot = len(self._slots)
        self._live = (1 << self._next_slot) - 1
        self._windows.clear()

    def _window(self, fleet: Fleet, pool: Pool) -> _Window:
        if fleet.replica_ids is not self._replica_ids:
            if fleet.replica_ids != self._replica_ids:
                self._windows.clear()
            self._replica_ids = fleet.replica_ids
        window = self._windows.get((pool.start, pool.stop))
        if window is None:
            # Slots first: giving one out drops the windows made before.
            slots = [self._slot(replica_id) for replica_id in fleet.replica_ids][pool.rows]
            window = self._windows[pool.start, pool.stop] = _window_over(slots)
        return window


def _window_over(slots: list[int]) -> _Window:
    if not slots:
        return _Window(0, 0, 0, None)
    first = min(slots)
    in_order = slots == list(range(first, first + len(slots)))
    gather = None if in_order else np.array(slots, dtype=np.intp) - first
    return _Window(sum(1 << slot for slot in slots), first, max(slots) - first + 1, gather)


def _set_counts(counts: Ints, bits: int, depth: int) -> None:
    """Sets the entries whose bit is set."""
    if not bits & (bits - 1):
        counts[bits.bit_length() - 1] = depth
        return
    packed = np.frombuffer(bits.to_bytes((len(counts) + 7) // 8, "little"), dtype=np.uint8)
    flags = np.unpackbits(packed, count=len(counts), bitorder="little")
    np.copyto(counts, depth, where=flags.view(np.bool_))
