"""The circuits of all replicas, by replica id. Owns which are not closed; when they change is `breaker.py`'s to say."""

import logging
from collections.abc import Iterator
from random import Random

from router.fleet.breaker import CLOSED, BreakerRule, Circuit

log = logging.getLogger(__name__)


class Circuits:
    """Holds only those that are not CLOSED, so that a healthy fleet costs nothing. Times are monotonic seconds."""

    def __init__(self, rule: BreakerRule, rng: Random) -> None:
        self._rule = rule
        self._rng = rng
        self._circuits: dict[str, Circuit] = {}

    def of(self, replica_id: str) -> Circuit:
        return self._circuits.get(replica_id, CLOSED)

    def blocked(self, now_s: float) -> Iterator[tuple[str, float]]:
        """Replicas that may be sent nothing now, each with the time when that ends by itself."""
        for replica_id, circuit in self._circuits.items():
            if not circuit.allows(now_s):
                yield replica_id, circuit.changes_at_s(now_s)

    def sent(self, replica_id: str, now_s: float) -> None:
        if (circuit := self._circuits.get(replica_id)) is not None:
            self._circuits[replica_id] = circuit.probed(now_s, self._rule)

    def idle(self, replica_id: str) -> None:
        """Nothing is under way there any more."""
        if (circuit := self._circuits.get(replica_id)) is not None:
            self._circuits[replica_id] = circuit.unprobed()

    def failed(self, replica_id: str, now_s: float) -> None:
        before = self.of(replica_id)
        circuit = self._circuits[replica_id] = before.failed(now_s, self._rule, self._rng)
        if circuit.openings > before.openings:
            log.warning("replica %s: left alone after %d faults in a row", replica_id, circuit.faults)

    def succeeded(self, replica_id: str, now_s: float) -> bool:
        """Returns whether that closed a circuit, or took faults back."""
        closed = replica_id in self._circuits and self._circuits[replica_id].succeeded(now_s) == CLOSED
        if closed:
            del self._circuits[replica_id]
        return closed

    def renewed(self, replica_id: str, now_s: float) -> None:
        if (circuit := self._circuits.get(replica_id)) is not None:
            self._circuits[replica_id] = circuit.renewed(now_s)

    def drop(self, replica_id: str) -> None:
        self._circuits.pop(replica_id, None)
