"""How many replicas a pool has, ready ones and ones of a revision, from its pods."""

from dataclasses import dataclass

from controlplane.world import World


@dataclass(frozen=True, slots=True)
class Seen:
    """Replicas that are to stay; those that terminate are counted apart. `updated` are those of the revision asked for."""

    replicas: int
    ready: int
    updated: int
    updated_ready: int
    terminating: int = 0

    @property
    def others(self) -> int:
        """Replicas of other revisions."""
        return self.replicas - self.updated


def seen_of(world: World, revision: str) -> Seen:
    """The pool's replicas, with those of `revision`. With Ray, of one replica's pods only that which answers is ready."""
    staying = [pod for pod in world.pods if not pod.terminating]
    updated = [pod for pod in staying if pod.revision == revision]
    ready, updated_ready = sum(pod.ready for pod in staying), sum(pod.ready for pod in updated)
    replicas, of_revision = len(staying), len(updated)
    if world.spec.runtime == "RayService":
        nodes = world.spec.ray.nodes if world.spec.ray is not None else 1
        of_revision = max(updated_ready, -(-of_revision // nodes))
        replicas = of_revision + max(ready - updated_ready, -(-(len(staying) - len(updated)) // nodes))
    return Seen(replicas, ready, of_revision, updated_ready, len(world.pods) - len(staying))
