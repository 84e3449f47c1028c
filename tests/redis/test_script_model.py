"""budgets.lua against a model in plain Python: reserve, settle, crash, duplicates, late ones, parents, windows that end."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from router.admission.records import Chain, Reply, Seen, hold_key, record_key, understood
from router.admission.redis_link import SCRIPT
from router.snapshot import Budget
from tests.redis.server import RedisServer

pytestmark = pytest.mark.requires("redis")

FAR_S = 100_000
NAMES = ("org", "team", "key}{", "solo\n{")
PARENTS = {"org": (), "team": ("org",), "key}{": ("team", "org"), "solo\n{": ()}
LIMITS = {"org": 100, "team": 60, "key}{": None, "solo\n{": 30}  # None: soft
AMOUNTS = st.lists(st.integers(0, 50), min_size=1, max_size=3).map(lambda each: sorted(each, reverse=True))


@dataclass
class Account:
    """What one (tenant, window) has spent; `epoch` counts its windows."""

    spent: int = 0
    window: int = 0


@dataclass
class Model:
    """The same semantics, on plain numbers. Holds: id → (amount, {tenant: window it was held in})."""

    accounts: dict[str, Account] = field(default_factory=lambda: {name: Account() for name in NAMES})
    holds: dict[str, tuple[int, dict[str, int]]] = field(default_factory=dict)

    def roll(self, chain: tuple[str, ...], window: int) -> None:
        for name in chain:
            if self.accounts[name].window < window:
                self.accounts[name] = Account(0, window)

    def reserve(self, hold: str, chain: tuple[str, ...], amounts: list[int]) -> int | None:
        if hold in self.holds:
            return self.holds[hold][0]
        for amount in amounts:
            limits = ((LIMITS[name], self.accounts[name].spent) for name in chain)
            if all(limit is None or spent + amount <= limit for limit, spent in limits):
                for name in chain:
                    self.accounts[name].spent += amount
                self.holds[hold] = (amount, {name: self.accounts[name].window for name in chain})
                return amount
        return None

    def settle(self, hold: str, actual: int) -> None:
        if hold in self.holds:
            amount, windows = self.holds.pop(hold)
            for name, window in windows.items():
                if self.accounts[name].window == window:
                    self.accounts[name].spent -= amount - min(amount, actual)


class Budgets(RuleBasedStateMachine):
    """Each rule is one command of a router that remembers what it saw of each record, and so must never find one lost."""

    server: RedisServer

    @initialize()
    def begin(self) -> None:
        self.client = self.server.client()
        self.client.flushall()
        self.digest = self.client.script_load(SCRIPT)
        self.now_s = int(self.client.time()[0])
        self.model, self.window, self.next_id = Model(), 0, 0
        self.ids: list[str] = []
        self.chains: dict[str, tuple[str, ...]] = {}
        self.known: dict[str, Seen] = {}

    def teardown(self) -> None:
        if hasattr(self, "client"):
            self.client.close()

    def run(self, hold: str, tenant: str, op: str, amounts: list[int]) -> Reply:
        chain = (tenant, *PARENTS[tenant])
        words: list[Any] = [op, "nonce", "closed", 600, len(chain)]
        for name in chain:
            limit = LIMITS[name]
            # Window n begins n seconds after window 0, long before now, and ends long after it.
            words += [self.now_s - FAR_S + self.window, self.now_s + FAR_S, -1 if limit is None else limit]
            seen = self.known.get(name)
            words += [-1, "", 0, 0] if seen is None else [seen.start_s, seen.epoch, seen.seq, seen.spent_nano]
        keys = [hold_key(hold), *(record_key(name, "hour") for name in chain)]
        reply = understood(self.client.evalsha(self.digest, len(keys), *keys, *words, *amounts))
        self.known |= {name: seen for name, seen in zip(chain, reply.seen, strict=True) if seen is not None and seen.seq}
        return reply

    @rule(tenant=st.sampled_from(NAMES), amounts=AMOUNTS)
    def reserve(self, tenant: str, amounts: list[int]) -> None:
        self.next_id += 1
        hold, chain = f"hold-{self.next_id}", (tenant, *PARENTS[tenant])
        self.ids.append(hold)
        self.chains[hold] = chain
        self.model.roll(chain, self.window)
        self.check(self.run(hold, tenant, "reserve", amounts), self.model.reserve(hold, chain, amounts), chain)

    @rule(which=st.integers(0, 10_000), amounts=AMOUNTS)
    def reserve_again(self, which: int, amounts: list[int]) -> None:
        """The same hold, as a retry that comes late: nothing is charged twice."""
        if not self.ids:
            return
        hold = self.ids[which % len(self.ids)]
        chain = self.chains[hold]
        if hold not in self.model.holds:
            return
        self.model.roll(chain, self.window)
        self.check(self.run(hold, chain[0], "reserve", amounts), self.model.holds[hold][0], chain)

    @rule(which=st.integers(0, 10_000), actual=st.integers(0, 80))
    def settle(self, which: int, actual: int) -> None:
        """Also of holds that were settled, refused, or of a window that is over."""
        if not self.ids:
            return
        ids = list(self.model.holds) if which % 4 and self.model.holds else self.ids
        hold = ids[which % len(ids)]
        keys = [hold_key(hold), *(record_key(name, "hour") for name in self.chains[hold])]
        reply = understood(self.client.evalsha(self.digest, len(keys), *keys, "settle", actual, 0))
        assert reply.code == ("ok" if hold in self.model.holds else "none")
        self.model.settle(hold, actual)

    @rule(tenant=st.sampled_from(NAMES))
    def never_arrived(self, tenant: str) -> None:
        """Given up before it came through: when it does come, it takes nothing."""
        self.next_id += 1
        hold, chain = f"hold-{self.next_id}", (tenant, *PARENTS[tenant])
        keys = [hold_key(hold), *(record_key(name, "hour") for name in chain)]
        assert understood(self.client.evalsha(self.digest, len(keys), *keys, "settle", 0, 600)).code == "none"
        self.model.roll(chain, self.window)
        assert self.run(hold, tenant, "reserve", [1]).code == "gone"

    @rule(tenant=st.sampled_from(NAMES), amount=st.integers(0, 50))
    def book_twice(self, tenant: str, amount: int) -> None:
        self.next_id += 1
        hold, chain = f"hold-{self.next_id}", (tenant, *PARENTS[tenant])
        self.model.roll(chain, self.window)
        for name in chain:
            self.model.accounts[name].spent += amount
        for _ in range(2):
            self.check(self.run(hold, tenant, "book", [amount]), amount, chain, detail=False)

    @rule()
    def window_ends(self) -> None:
        self.window += 1

    @rule()
    def look(self) -> None:
        for tenant in NAMES:
            chain = (tenant, *PARENTS[tenant])
            self.model.roll(chain, self.window)
            self.check(self.run("", tenant, "look", []), 0, chain)

    def check(self, reply: Reply, granted: int | None, chain: tuple[str, ...], *, detail: bool = True) -> None:
        assert reply.code == ("full" if granted is None else "ok")
        if detail and granted is not None:
            assert reply.detail == granted
        assert [seen.spent_nano if seen else None for seen in reply.seen] == [self.model.accounts[n].spent for n in chain]
        held = dict.fromkeys(chain, 0)
        for amount, windows in self.model.holds.values():
            for name in held:
                held[name] += amount if windows.get(name) == self.model.accounts[name].window else 0
        assert [seen.held_nano if seen else None for seen in reply.seen] == list(held.values())


def test_the_script_does_what_the_model_does(redis_server: RedisServer) -> None:
    class OnThisServer(Budgets):
        server = redis_server

    quick = settings(
        max_examples=60, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(OnThisServer, settings=quick)


HOSTILE = ("", "a b", "{x}", "}{", "a:b", "line\nbreak", "\x00", "ü✓𝕏", "\udcff", "%7B", "x" * 5000, "*?[a]")


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_has_a_record_of_its_own(redis_server: RedisServer, name: str) -> None:
    chains = [Chain.of((Budget(each, 1.0, "day", hard=True),)) for each in (name, "other", name + "x")]
    assert len({chain.keys for chain in chains}) == 3
    with redis_server.client() as client:
        digest = client.script_load(SCRIPT)
        for number, chain in enumerate(chains):
            words = ("reserve", "n", "closed", 600, 1, 0, 10**11, 10, -1, "", 0, 0, number)
            reply = understood(client.evalsha(digest, 2, hold_key(str(number)), *chain.keys, *words))
            assert (reply.code, reply.seen[0].spent_nano if reply.seen[0] else None) == ("ok", number)
        assert all(key.startswith("headgate:{budgets}:") for key in (hold_key("1"), *(c.keys[0] for c in chains)))
