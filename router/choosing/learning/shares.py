"""How much each tenant may teach: no one of them more than a share of all that is taught. Pure.

Weights fade by half in HALF_LIFE_S, which stands for a window. A tenant has `free` of weight in it whatever the others do, so
that a quiet router learns at all; from there on its part of all weight stays at `share`. Ten thousand lies of one tenant then
weigh as much as a fifth of what is taught, or as FREE outcomes.
"""

from dataclasses import dataclass

SHARE = 0.2
FREE = 50.0
# Of what may count as evidence of drift: too little for one tenant's lies to bring about a step back within an hour.
WATCH_FREE = 10.0
HALF_LIFE_S = 3600.0
MOST_TENANTS = 10_000
SCRAP = 0.1
_NOTHING = 1e-3


@dataclass(slots=True)
class _Taught:
    weight: float
    at_s: float

    def now(self, now_s: float) -> float:
        return float(self.weight * 2.0 ** (-max(now_s - self.at_s, 0.0) / HALF_LIFE_S))


class TenantShares:
    """One per router. `alone`: there is one tenant only, whom nobody needs to be protected from."""

    def __init__(self, share: float = SHARE, free: float = FREE) -> None:
        self._share = share
        self._free = free
        self._all = _Taught(0.0, 0.0)
        self._each: dict[str, _Taught] = {}
        self.alone = False

    def allow(self, tenant: str, weight: float, now_s: float) -> float:
        """The part of `weight` that this tenant may still teach with; it is taken to be used."""
        total, own = self._all.now(now_s), self._each.get(tenant)
        before = own.now(now_s) if own is not None else 0.0
        # With a at most: before + a = share · (total + a).
        room = max(self._free - before, (self._share * total - before) / (1.0 - self._share))
        # Scraps are not worth the work.
        allowed = weight if self.alone else min(room, weight) if room >= SCRAP * weight else 0.0
        if allowed > 0.0:
            self._all = _Taught(total + allowed, now_s)
            self._each[tenant] = _Taught(before + allowed, now_s)
            if len(self._each) > MOST_TENANTS:
                self._sweep(now_s)
        return allowed

    def _sweep(self, now_s: float) -> None:
        """Forgets the lighter half of the tenants; the heavy ones are those that matter."""
        heaviest = sorted(self._each.items(), key=lambda item: -item[1].now(now_s))[: MOST_TENANTS // 2]
        self._each = {name: taught for name, taught in heaviest if taught.now(now_s) > _NOTHING}
