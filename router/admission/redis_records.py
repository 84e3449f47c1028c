"""Asks Redis about chains of budgets and remembers what each record said last: that is how a lost one is noticed."""

import itertools
import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from router.admission import records
from router.admission.records import Chain, Ending, Garbled, Reply, Seen, understood
from router.admission.redis_link import RedisLink
from router.admission.redis_work import DROPPED, RedisAway
from router.admission.windows import bounds
from router.request import BudgetState

TRIES = 4  # a window may end while it is asked about, and clocks differ
LATE_S = 3600  # how long a reservation that nobody waits for may still be on its way

log = logging.getLogger(__name__)


class RedisRecords:
    """`name` sets this process apart from every other that ever used this Redis. `wall_s` is Unix time now, roughly."""

    def __init__(self, link: RedisLink, when_lost: str, name: str, wall_s: float) -> None:
        self.link = link
        self.lost: set[str] = set()  # keys of records that are refused now
        self._when_lost = when_lost
        self._name = name
        self._ids = itertools.count(1)
        self._ahead_s = wall_s - monotonic()  # a guess, until Redis has told its own time: that is what counts
        self._known: dict[str, Seen] = {}
        self._ending: dict[str, Ending] = {}

    def new_id(self) -> str:
        """For one hold. Never the caller's own: who sends an id twice would be served twice for one."""
        return f"{self._name}-{next(self._ids)}"

    def now_s(self) -> float:
        """Unix time as Redis has it; at most a second behind."""
        return monotonic() + self._ahead_s

    def states(self, chain: Chain) -> tuple[BudgetState, ...]:
        return records.states(chain, self._known, self._ending, self.now_s())

    def ends_s(self, chain: Chain) -> float:
        """When the first of the windows ends; infinite where none does."""
        ends = (bounds(budget.window, time_s)[1] for budget, time_s in zip(chain.budgets, self._times(chain), strict=True))
        return min((float(end) for end in ends if end), default=float("inf"))

    def lives(self, chain: Chain) -> tuple[bytes, ...]:
        """Which life of each record this router knows: another one does not count what was held in it."""
        return tuple(self._known[key].epoch if key in self._known else b"" for key in chain.keys)

    async def reserve(self, chain: Chain, hold_id: str, amounts_nano: Sequence[int]) -> Reply:
        """Raises RedisAway. Whatever keeps the answer from the caller, the money is given back."""
        return await self._ask("reserve", chain, hold_id, amounts_nano)

    async def look(self, chain: Chain) -> Reply:
        return await self._ask("look", chain, "", ())

    def settle(self, hold_id: str, keys: Sequence[str], actual_nano: int, held_nano: int | None) -> None:
        """Returns at once; it is carried out once, however often it must be tried. `held_nano` None: whether anything is held
        is not known, and its reservation may still come through."""
        ending = (held_nano or 0, max(0, (held_nano or 0) - actual_nano))
        self._end(keys, *ending)

        def done(raw: Any) -> None:
            self._end(keys, -ending[0], -ending[1])
            if raw is not DROPPED and (reply := self._understood(raw)) is not None and reply.code == "ok":
                self._remember(keys, reply.seen, checked=False)

        self.link.post(records.settling(hold_id, keys, actual_nano, keep_s=LATE_S if held_nano is None else 0), done)

    def book(
        self, chain: Chain, hold_id: str, amount_nano: int, on_done: Callable[[int], None], times_s: Sequence[float] = ()
    ) -> None:
        """Charges whatever the budgets say, once, as soon as that can be; then tells the amount to `on_done`."""

        def done(raw: Any) -> None:
            reply = self._understood(raw) if raw is not DROPPED else None
            if reply is not None and reply.code == "clock":
                self.book(chain, hold_id, amount_nano, on_done, reply.times_s)
            elif reply is not None:
                self._remember(chain.keys, reply.seen, checked=False)
                on_done(amount_nano)

        self.link.post(self._words("book", chain, hold_id, times_s or self._times(chain), (amount_nano,)), done)

    async def _ask(self, op: str, chain: Chain, hold_id: str, amounts_nano: Sequence[int]) -> Reply:
        times_s: Sequence[float] = self._times(chain)
        for _ in range(TRIES):
            asked = self.link.ask(self._words(op, chain, hold_id, times_s, amounts_nano))
            try:
                raw = await asked.answer
            except BaseException:  # no answer, or the caller left
                if asked.sent and op == "reserve":
                    self.settle(hold_id, chain.keys, 0, None)
                raise
            reply = self._understood(raw)
            if reply is None or len(reply.seen or reply.times_s) != len(chain.keys):
                self.link.distrust("it does not answer what was asked")
                self.settle(hold_id, chain.keys, 0, None)
                raise RedisAway("garbage for an answer")
            if reply.code != "clock":
                self._note(chain, reply)
                return reply
            times_s = reply.times_s
        self.link.distrust("its clock jumps about")
        raise RedisAway("the clock of Redis jumps about")

    def _words(
        self, op: str, chain: Chain, hold_id: str, times_s: Sequence[float], amounts_nano: Sequence[int]
    ) -> tuple[records.Word, ...]:
        looks = [(time_s, self._known.get(key)) for time_s, key in zip(times_s, chain.keys, strict=True)]
        return records.asking(op, chain, hold_id, looks, amounts_nano, nonce=self._name, when_lost=self._when_lost)

    def _times(self, chain: Chain) -> list[float]:
        """What time it is for each budget: a record that is ahead of the clock stays there."""
        now_s, known = self.now_s(), self._known
        return [max(now_s, known[key].start_s) if key in known else now_s for key in chain.keys]

    def _understood(self, raw: Any) -> Reply | None:
        """None for garbage, which shuts the circuit."""
        try:
            reply = understood(raw)
        except Garbled as fault:
            self.link.distrust(str(fault))
            return None
        self._ahead_s = reply.now_s - monotonic()
        return reply

    def _end(self, keys: Sequence[str], held_nano: int, back_nano: int) -> None:
        for key in keys:
            ending = self._ending.setdefault(key, Ending())
            ending.held_nano += held_nano
            ending.back_nano += back_nano
            if not ending.held_nano:
                del self._ending[key]

    def _note(self, chain: Chain, reply: Reply) -> None:
        """A record that was lost is told of once; what this router knew of it stays known, as proof."""
        if reply.code in ("lost", "bad"):
            key = chain.keys[reply.detail - 1] if 0 < reply.detail <= len(chain.keys) else chain.keys[0]
            if key not in self.lost:
                self.lost.add(key)
                log.error("budgets: the record %s was lost or spoilt: its hard budget is refused until it is set", key)
            return
        if self.lost:
            self.lost.difference_update(chain.keys)
        self._remember(chain.keys, reply.seen, checked=True)

    def _remember(self, keys: Sequence[str], seen: Sequence[Seen | None], *, checked: bool) -> None:
        """`checked`: against what was known, by the script. What was not may tell of a record that has been lost since: it must
        not wipe out what proves that."""
        for key, each in zip(keys, seen, strict=False):
            if each is None or not each.seq:  # not to be read, or not there
                continue
            known = self._known.get(key)
            same = known is not None and (each.start_s, each.epoch) == (known.start_s, known.epoch) and each.seq >= known.seq
            if checked or same:
                self._known[key] = each
