"""How many replica-hours each way of scaling takes, and what share of requests meets TTFT and TPOT: simulated, not measured.

    make bench NAME=autoscale_policies

The pools of tests/sim in virtual time, under the product's own decision (controlplane/planning/autoscale.py), under the rules
of Kubernetes' HPA on the same figure and the same target, and under an oracle that knows the load to come. Means over
the seeds. `turns` is how often scaling changed its direction; `cost_over_oracle` the replica-hours against the oracle's.
"""

from collections.abc import Callable
from random import Random
from statistics import fmean

from tests.bench.report import Report
from tests.sim.policies import Headgate, HorizontalPodAutoscaler, Oracle
from tests.sim.pool import Outcome, Policy, Pool, run
from tests.sim.scenarios import ALL, Scenario

SEED = 1
SEEDS = (SEED, SEED + 1, SEED + 2)
POLICIES: dict[str, Callable[[Scenario], Policy]] = {
    "headgate": lambda scenario: Headgate(scenario.rule, scenario.replicas),
    "HPA rules": lambda scenario: HorizontalPodAutoscaler(scenario.rule, scenario.model.slots),
    "oracle": lambda scenario: Oracle(scenario.rule, scenario.model, scenario.rate),
}


def simulate(scenario: Scenario, policy: Policy, seed: int) -> Outcome:
    pool = Pool(scenario.model, scenario.rate, scenario.peak, Random(seed), scenario.replicas, scenario.blind)
    return run(pool, policy, scenario.end_s)


def main() -> None:
    report = Report("autoscale_policies", "Autoscaling, SIMULATED: objectives met and replica-hours taken", SEED)
    for scenario in ALL:
        outcomes = {name: [simulate(scenario, build(scenario), seed) for seed in SEEDS] for name, build in POLICIES.items()}
        hours = {name: fmean(outcome.replica_s for outcome in many) / 3600 for name, many in outcomes.items()}
        for name, many in outcomes.items():
            report.row(
                f"{scenario.name}: {name} (simulated)",
                within_objectives=fmean(outcome.attained for outcome in many),
                replica_hours=hours[name],
                cost_over_oracle=hours[name] / hours["oracle"],
                p99_wait_s=fmean(outcome.wait_s(0.99) for outcome in many),
                most_replicas=max(outcome.most for outcome in many),
                turns=fmean(outcome.turns for outcome in many),
            )
    report.note("every figure is simulated in virtual time: tests/sim/pool.py says how; no cluster and no engine took part")
    report.note(f"seeds {', '.join(map(str, SEEDS))}; the oracle knows the rate of arrivals, not the arrivals")
    report.finish()


if __name__ == "__main__":
    main()
