"""Whether an object on the server already says all that is wanted, so that it need not be applied."""

from collections.abc import Mapping, Sequence
from typing import Any

# By what server-side apply tells the items of a list apart, in the objects that we make: the first that all wanted items have.
_MERGE_KEYS = (("name",), ("containerPort", "protocol"), ("mountPath",), ("topologyKey", "whenUnsatisfiable"), ("uid",))


def superset(seen: Any, wanted: Any) -> bool:
    """True if everything in `wanted` is in `seen`. Others may have added keys to maps, and items to lists whose items have
    names; those that are wanted must be there in their order. All other values are compared whole."""
    if isinstance(wanted, Mapping):
        return isinstance(seen, Mapping) and all(key in seen and superset(seen[key], value) for key, value in wanted.items())
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return isinstance(seen, Sequence) and not isinstance(seen, str) and _holds(seen, wanted)
    return isinstance(seen, bool) == isinstance(wanted, bool) and bool(seen == wanted)


def _holds(seen: Sequence[Any], wanted: Sequence[Any]) -> bool:
    keys = _keys(wanted)
    if keys is None:
        return len(seen) == len(wanted) and all(map(superset, seen, wanted))
    rest = iter(seen)
    return all(any(_named(item, keys) == _named(one, keys) and superset(item, one) for item in rest) for one in wanted)


def _keys(wanted: Sequence[Any]) -> tuple[str, ...] | None:
    """What names these items; None for lists that are compared as they stand."""
    if not wanted or not all(isinstance(one, Mapping) for one in wanted):
        return None
    return next((keys for keys in _MERGE_KEYS if all(keys[0] in one for one in wanted)), None)


def _named(item: Any, keys: tuple[str, ...]) -> tuple[Any, ...] | None:
    return tuple(item.get(key) for key in keys) if isinstance(item, Mapping) else None
