"""What one request is decided under: its tenant's policy, and what money is worth to it now. Values only."""

from dataclasses import dataclass

from router.fleet.specs import PolicySpec

ROUTERS_OWN = PolicySpec("")


@dataclass(frozen=True, slots=True)
class Terms:
    """usd_price   λ, the quality that a US dollar must bring: the dual price of the tenant's budgets; 0 where none is short
    draw        0 to 1, uniform: which requests are canaries
    """

    policy: PolicySpec = ROUTERS_OWN
    usd_price: float = 0.0
    draw: float = 1.0


OWN_TERMS = Terms()
