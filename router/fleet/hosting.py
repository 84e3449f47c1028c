"""What a pool's tokens cost and take from the world, where it is known what its machines cost and take. Pure; docs/prices.md
has the method with an example.

Work is counted in output tokens: one prompt token that has to be computed, or one that was cached, counts as a part of one. A
replica that does `tokens_per_s` of them turns USD per hour into USD per token, and watts into Wh per token, so that what all
requests pay and take together is what the machines cost and take, as long as they work at that rate.
"""

from math import log

from router.fleet.specs import HostingSpec, PoolSpec
from router.snapshot import Footprint, Prices

# Parts of an output token. Over the price lists of public models, a prompt token costs a fifth to three sevenths of an output
# token (quartiles; median 0.25), a cached one a sixtieth to a sixteenth (median 0.025).
INPUT_WORK = 0.2
CACHED_WORK = 0.02
# A throughput is rounded to powers of this, so that prices step seldom and routers that measured nearly the same agree.
STEP = 1.05
_MTOK = 1e6
_HOUR_S = 3600.0


def work_tokens(uncached_tokens: float, cached_tokens: float, output_tokens: float) -> float:
    """What these tokens are together, in output tokens."""
    return INPUT_WORK * uncached_tokens + CACHED_WORK * cached_tokens + output_tokens


def rounded(tokens_per_s: float) -> float:
    """The nearest step; at least 1."""
    return STEP ** max(0, round(log(max(tokens_per_s, 1.0), STEP)))


def prices_of(pool: PoolSpec, tokens_per_s: float) -> Prices:
    """Those that were given, where any is more than 0; else those that follow from hosting. `tokens_per_s`: one replica's."""
    given, hosting = pool.prices, pool.hosting
    if hosting is None or not hosting.usd_per_hour or given.input or given.cached_input or given.output:
        return given
    output = hosting.usd_per_hour / _HOUR_S / tokens_per_s * _MTOK
    return Prices(INPUT_WORK * output, CACHED_WORK * output, output)


def footprint_of(hosting: HostingSpec | None, tokens_per_s: float) -> Footprint | None:
    """Energy as it is drawn from the grid; None where the power is not known.

    Water as in Li et al., "Making AI Less Thirsty" (arXiv 2304.03271): the site's factor counts for each kWh of the machines,
    the power plants' for each kWh that is drawn for them, which is `pue` times as much.
    """
    if hosting is None or not hosting.power_w:
        return None
    output_wh = hosting.power_w * hosting.pue / _HOUR_S / tokens_per_s * _MTOK
    # Litres per kWh are millilitres per Wh. A Wh drawn holds 1/pue Wh of the machines.
    water_ml_per_wh = hosting.water_site_l_per_kwh / hosting.pue + hosting.water_source_l_per_kwh
    carbon_g_per_wh = hosting.carbon_g_per_kwh / 1000.0
    return Footprint(INPUT_WORK * output_wh, CACHED_WORK * output_wh, output_wh, carbon_g_per_wh, water_ml_per_wh)
