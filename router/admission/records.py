"""What routers and Redis say to each other about budgets: keys, the words of budgets.lua, and what its replies mean. Pure.

All keys have one hash tag, so that the records of a tenant and of those above it are in one slot of a Redis Cluster, also after
the tenant moved below another: its key is its name and its window and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from router.admission.amounts import limit_nano, to_usd
from router.admission.windows import bounds
from router.request import BudgetState
from router.snapshot import Budget

PREFIX = "headgate:{budgets}:"
HOLD_S = 24 * 3600  # longer than any request, and than Redis may be away; what is not settled by then stays spent
Word = str | int | bytes


class Garbled(ValueError):
    """What answers is not our script on a Redis that works."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as this router saw it last. `seq` 0: there was none."""

    start_s: int
    spent_nano: int
    held_nano: int
    epoch: bytes
    seq: int
    kind: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """`code`: ok, none, gone, full, lost, bad or clock. `detail`: the amount, or the place of the budget that refuses, from 1.

    `seen` has one entry for each budget, None for a record that can't be read; `times_s` is what `clock` says instead.
    """

    code: str
    now_s: int
    detail: int = 0
    seen: tuple[Seen | None, ...] = ()
    times_s: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """The budgets that hold for a tenant, ready to be asked about; `hard` where any of them is."""

    budgets: tuple[Budget, ...]
    keys: tuple[str, ...]
    limits_nano: tuple[int, ...]
    hard: bool

    @classmethod
    def of(cls, budgets: tuple[Budget, ...]) -> "Chain":
        keys = tuple(record_key(each.tenant, each.window) for each in budgets)
        limits = tuple(limit_nano(each.usd) if each.hard else -1 for each in budgets)
        return cls(budgets, keys, limits, any(each.hard for each in budgets))


def record_key(tenant: str, window: str) -> str:
    return f"{PREFIX}of:{quote(tenant, safe='', errors='surrogatepass')}:{window or 'forever'}"


def hold_key(hold_id: str) -> str:
    return f"{PREFIX}hold:{hold_id}"


def asking(
    op: str,
    chain: Chain,
    hold_id: str,
    looks: Sequence[tuple[float, Seen | None]],
    amounts_nano: Sequence[int],
    *,
    nonce: str,
    when_lost: str,
) -> tuple[Word, ...]:
    """The words after EVALSHA and its digest, for reserve, book and look. `looks`: what time it is for each budget,
    and its record as this router saw it last."""
    words: list[Word] = [1 + len(chain.keys), hold_key(hold_id), *chain.keys, op, nonce, when_lost, HOLD_S, len(chain.keys)]
    for budget, limit, (time_s, seen) in zip(chain.budgets, chain.limits_nano, looks, strict=True):
        words += bounds(budget.window, time_s)
        words.append(limit)
        if seen is not None:
            words += (seen.start_s, seen.epoch, seen.seq, seen.spent_nano)
        else:
            words += (-1, b"", 0, 0)
    words += amounts_nano
    return tuple(words)


def settling(hold_id: str, keys: Sequence[str], actual_nano: int, *, keep_s: int = 0) -> tuple[Word, ...]:
    """The same for settle. `keep_s`: where the reservation was not answered, it may not come through later than this."""
    return (1 + len(keys), hold_key(hold_id), *keys, "settle", actual_nano, keep_s)


def probing() -> tuple[Word, ...]:
    return (1, f"{PREFIX}probe", "probe")


def setting(tenant: str, window: str, spent_nano: int, at_s: float, nonce: str) -> tuple[Word, ...]:
    """The same for an operator's word on a record."""
    return (2, f"{PREFIX}probe", record_key(tenant, window), "set", nonce, spent_nano, *bounds(window, at_s))


def understood(raw: object) -> Reply:
    """What a reply means. Raises Garbled for anything that the script does not say."""
    if not isinstance(raw, list) or len(raw) < 2 or not isinstance(raw[0], bytes) or not _whole(raw[1]):
        raise Garbled("a reply has another shape than the script's")
    code, now_s = raw[0].decode("ascii", "replace"), raw[1]
    if code == "clock":
        if not all(map(_whole, raw[2:])):
            raise Garbled("a time is not a number")
        return Reply(code, now_s, times_s=tuple(raw[2:]))
    if code not in ("ok", "none", "gone", "full", "lost", "bad") or not all(map(_whole, raw[2:3])):
        raise Garbled("a reply has a word that the script doesn't say")
    return Reply(code, now_s, raw[2] if len(raw) > 2 else 0, tuple(map(_seen, raw[3:])))


@dataclass(slots=True)
class Ending:
    """Of one record, what is settled but not yet carried out: `held_nano` of holds, of which `back_nano` goes back."""

    held_nano: int = 0
    back_nano: int = 0


def states(chain: Chain, known: Mapping[str, Seen], ending: Mapping[str, Ending], now_s: float) -> tuple[BudgetState, ...]:
    """How the budgets stood when they were last seen, less what is on its way back: a window that has begun since has nothing
    spent."""
    pairs = zip(chain.budgets, chain.keys, strict=True)
    return tuple(_state(budget, known.get(key), ending.get(key, _NOTHING), now_s) for budget, key in pairs)


def _state(budget: Budget, seen: Seen | None, ending: Ending, now_s: float) -> BudgetState:
    start_s, end_s = bounds(budget.window, max(now_s, seen.start_s) if seen is not None else now_s)
    spent, held = (seen.spent_nano, seen.held_nano) if seen is not None and seen.start_s == start_s else (0, 0)
    spent, held = max(0, spent - ending.back_nano), max(0, held - ending.held_nano)
    return BudgetState(budget.tenant, budget.usd, to_usd(spent), budget.window, end_s, budget.hard, to_usd(held))


def _seen(raw: object) -> Seen | None:
    if raw is None:
        return None
    match raw:
        case [int(start), int(spent), int(held), bytes(epoch), int(seq), bytes(kind)]:
            return Seen(start, spent, held, epoch, seq, kind)
    raise Garbled("a record has another shape than the script's")


_NOTHING = Ending()


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
