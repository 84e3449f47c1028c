"""Whether new replicas fail more often than old ones, beyond chance.

Newcombe's interval for the difference of two proportions (Statistics in Medicine 17, 873-890, 1998, method 10), made of two
Wilson score intervals: it holds for few requests and for rates near zero, where errors live. It is looked at every few seconds,
so the bound is a strict one (z = 3, one-sided 0.13 %), and fewer than ten requests prove nothing.
"""

from math import sqrt

from controlplane.world import RevisionLoad

Z = 3.0
LEAST_REQUESTS = 10


def errors_rose(new: RevisionLoad, old: RevisionLoad, margin: float) -> bool:
    """Whether the share of errors on `new` is above that on `old` by more than `margin` (0 to 1), surely.

    Where old replicas had no requests, their share is taken as zero: then `new` is judged alone.
    """
    return new.requests >= LEAST_REQUESTS and least_rise(new, old) > margin


def least_rise(new: RevisionLoad, old: RevisionLoad) -> float:
    """Lower bound of the difference of the two shares of errors, -1 to 1."""
    rate = _rate(new)
    low, _ = wilson(new.errors, new.requests)
    if old.requests == 0:
        return low
    old_rate = _rate(old)
    _, old_high = wilson(old.errors, old.requests)
    return rate - old_rate - sqrt((rate - low) ** 2 + (old_high - old_rate) ** 2)


def wilson(errors: int, requests: int) -> tuple[float, float]:
    """Wilson's score interval for a share, at Z; everything is possible where nothing was asked."""
    if requests <= 0:
        return 0.0, 1.0
    rate = min(errors, requests) / requests
    middle = (rate + Z * Z / (2 * requests)) / (1 + Z * Z / requests)
    half = Z / (1 + Z * Z / requests) * sqrt(rate * (1 - rate) / requests + Z * Z / (4 * requests * requests))
    return max(0.0, middle - half), min(1.0, middle + half)


def together(loads: list[RevisionLoad]) -> RevisionLoad:
    """The sum of several revisions' counts."""
    return RevisionLoad(
        over_s=max((load.over_s for load in loads), default=0.0),
        requests=sum(load.requests for load in loads),
        errors=sum(load.errors for load in loads),
        prefix_query_tokens=sum(load.prefix_query_tokens for load in loads),
        prefix_hit_tokens=sum(load.prefix_hit_tokens for load in loads),
    )


def _rate(load: RevisionLoad) -> float:
    return min(load.errors, load.requests) / load.requests if load.requests > 0 else 0.0
