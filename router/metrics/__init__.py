"""What the router counts, in Prometheus' form. Names and labels are those of the Gateway API's pickers under our own prefix, so
that their boards port by replacing the prefix; what is ours alone (money, choice, learning) is named in `docs/request-life.md`.

`counting.py` counts requests as they happen; everything else is read from its owner when somebody scrapes (`fleet.py`, and what
modules hand to `Metrics.watch`, made with `families.py`).
"""

from router.metrics.counting import Metrics
from router.metrics.families import PREFIX, Rows, counter, counters, gauge, gauges, info
from router.metrics.fleet import FleetSource, ReportState, TopologyState
from router.metrics.labels import MOST_LABEL_VALUES, OTHER, BoundedLabel

__all__ = [
    "MOST_LABEL_VALUES",
    "OTHER",
    "PREFIX",
    "BoundedLabel",
    "FleetSource",
    "Metrics",
    "ReportState",
    "Rows",
    "TopologyState",
    "counter",
    "counters",
    "gauge",
    "gauges",
    "info",
]
