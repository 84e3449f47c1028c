"""KV blocks of the simulated engine: counted references, a prefix cache by hash chain, least recently used goes first. Pure."""

from collections import OrderedDict
from collections.abc import Sequence


def block_hash(parent: int, token_ids: Sequence[int]) -> int:
    """The content address of a full block: everything before it (`parent`) and its own tokens."""
    return hash((parent, *token_ids))


class KvPool:
    """A fixed number of blocks. A block is held by requests, or idle with its content still known, or idle and empty."""

    def __init__(self, blocks: int, block_tokens: int, prefix_caching: bool = True) -> None:
        self.block_tokens = block_tokens
        self._blocks = blocks
        self._prefix_caching = prefix_caching
        self._holders = [0] * blocks
        self._hash_of: list[int | None] = [None] * blocks
        self._block_of: dict[int, int] = {}
        self._idle: OrderedDict[int, None] = OrderedDict.fromkeys(range(blocks))

    @property
    def used(self) -> float:
        """Share of blocks that requests hold, 0 to 1."""
        return 1.0 - len(self._idle) / self._blocks

    @property
    def free_blocks(self) -> int:
        return len(self._idle)

    def seed(self, salt: str) -> int:
        """The parent of a first block: requests with different salts share nothing."""
        return hash(("", salt))

    def hold_prefix(self, token_ids: Sequence[int], salt: str) -> list[int]:
        """Takes the cached blocks that `token_ids` begin with; always leaves at least one token to compute."""
        if not self._prefix_caching:
            return []
        held: list[int] = []
        parent, size = self.seed(salt), self.block_tokens
        for start in range(0, (len(token_ids) - 1) // size * size, size):
            parent = block_hash(parent, token_ids[start : start + size])
            block = self._block_of.get(parent)
            if block is None:
                break
            self._hold(block)
            held.append(block)
        return held

    def take(self) -> int | None:
        """An empty block, evicting the content that was idle longest; None when requests hold all of them."""
        if not self._idle:
            return None
        block, _ = self._idle.popitem(last=False)
        self._forget(block)
        self._holders[block] = 1
        return block

    def name(self, block: int, content: int) -> None:
        """The block is full: others may share it from now on. A second block of the same content stays nameless."""
        if self._prefix_caching and content not in self._block_of:
            self._forget(block)
            self._hash_of[block] = content
            self._block_of[content] = block

    def drop(self, blocks: Sequence[int]) -> None:
        """A request lets go. The tail of a prefix becomes idle first, so that its beginning is evicted last."""
        for block in reversed(blocks):
            self._holders[block] -= 1
            if not self._holders[block]:
                self._idle[block] = None
                if self._hash_of[block] is None:
                    self._idle.move_to_end(block, last=False)

    def _hold(self, block: int) -> None:
        self._holders[block] += 1
        self._idle.pop(block, None)

    def _forget(self, block: int) -> None:
        content = self._hash_of[block]
        if content is not None:
            del self._block_of[content]
            self._hash_of[block] = None
