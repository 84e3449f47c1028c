from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.feed.load_book import FORGOTTEN_S, SILENT_S, LoadBook, TooManyRouters
from controlplane.feed.reports import PoolReport, Report, RevisionCounts
from controlplane.feed.windows import SHORT_S
from controlplane.world import PoolLoad, RevisionLoad


def book(*pools: str) -> LoadBook:
    made = LoadBook()
    made.serve(pools or ("p",))
    return made


def said(router: str = "r", incarnation: str = "1", pool: str = "p", **figures: object) -> Report:
    return Report(router, incarnation, pools={pool: PoolReport(**figures)})  # type: ignore[arg-type]


def test_nothing_is_known_of_a_pool_that_nobody_reported() -> None:
    assert book().of("p", 0.0) == PoolLoad()


def test_rates_are_of_the_time_between_reports() -> None:
    loads = book()
    loads.take(said(arrivals=1000), 0.0)
    assert loads.of("p", 0.0).arrivals_per_s == 0, "what it counted before we heard of it may be of any age"
    loads.take(said(arrivals=1020), 4.0)
    assert loads.of("p", 4.0).arrivals_per_s == 5.0
    for second in range(5, 65):
        loads.take(said(arrivals=1020 + 2 * (second - 4)), float(second))
    assert loads.of("p", 64.0).arrivals_per_s == 2.0, "of the last seconds only"


def test_answers_are_counted_over_the_same_time_as_arrivals() -> None:
    loads = book()
    for second in range(0, 31, 3):
        loads.take(said("a", arrivals=5 * second, answers=3 * second), second)
        loads.take(said("b", arrivals=second, answers=second), second + 1)
    load = loads.of("p", 32.0)
    assert (load.arrivals_per_s, load.answers_per_s) == (6.0, 4.0)
    assert SHORT_S <= load.over_s <= 2 * SHORT_S + 3


def test_rates_of_routers_add_up() -> None:
    loads = book()
    for second in range(0, 31, 3):
        loads.take(said("a", arrivals=6 * second), second)
        loads.take(said("b", arrivals=100 + second), second + 1)
    load = loads.of("p", 32.0)
    assert (load.routers, load.arrivals_per_s, load.seen_s) == (2, 7.0, 31.0)


def test_rare_arrivals_are_seen_for_a_minute() -> None:
    loads = book()
    loads.take(said(), 0.0)
    loads.take(said(arrivals=1), 2.0)
    rates = []
    for second in range(4, 100, 2):
        loads.take(said(arrivals=1), float(second))
        rates.append(loads.of("p", float(second)).arrivals_per_s)
    seen = [4 + 2 * number for number, rate in enumerate(rates) if rate > 0]
    assert seen[-1] in range(54, 62)
    assert rates[-1] == 0.0


def test_what_all_routers_see_alike_is_taken_once_and_what_each_has_is_added() -> None:
    loads = book()
    alike = {"slots": 32, "running": 20, "waiting_there": 3, "kv_used": 0.5, "ready": 4}
    loads.take(said("a", waiting_here=1, oldest_wait_s=2.0, **alike), 0.0)
    loads.take(said("b", waiting_here=5, oldest_wait_s=9.0, **alike), 1.0)
    loads.take(said("c", waiting_here=0), 2.0)  # has just started and knows no replica yet
    load = loads.of("p", 2.0)
    assert (load.routers, load.slots, load.running, load.kv_used) == (3, 32, 20, 0.5)
    assert (load.waiting, load.oldest_wait_s) == (1 + 5 + 3, 9.0)


def test_shares_within_the_objectives_are_over_all_routers() -> None:
    loads = book()
    for router in "ab":
        loads.take(said(router), 0.0)
    assert (loads.of("p", 0.0).ttft_met, loads.of("p", 0.0).tpot_met) == (None, None)
    loads.take(said("a", answers=10, ttft_met=9, tpot_met=10), 2.0)
    loads.take(said("b", answers=30, ttft_met=11, tpot_met=99), 2.0)
    assert (loads.of("p", 2.0).ttft_met, loads.of("p", 2.0).tpot_met) == (0.5, 1.0)


def test_revisions_requests_add_up_and_prefix_tokens_do_not() -> None:
    loads = book()
    for router in "ab":
        loads.take(said(router, revisions={"old": RevisionCounts(50, 1, 500, 50)}), 0.0)
    for router in "ab":
        revisions = {"old": RevisionCounts(60, 2, 900, 250), "new": RevisionCounts(5, 5, 100, 10)}
        loads.take(said(router, revisions=revisions), 10.0)
    assert loads.of("p", 10.0).revisions == {
        "new": RevisionLoad(10.0, 10, 10, 100, 10),
        "old": RevisionLoad(10.0, 20, 2, 400, 200),
    }


def test_a_revision_that_returns_goes_on_where_it_was() -> None:
    loads = book()
    loads.take(said(revisions={"old": RevisionCounts(50, 10)}), 0.0)
    loads.take(said(revisions={"new": RevisionCounts(1, 1)}), 2.0)
    loads.take(said(revisions={"old": RevisionCounts(52, 10)}), 4.0)
    assert loads.of("p", 4.0).revisions == {"new": RevisionLoad(4.0, 1, 1), "old": RevisionLoad(4.0, 2, 0)}


def test_the_window_is_a_minute() -> None:
    loads = book()
    loads.take(said(), 0.0)
    loads.take(said(answers=7, ttft_met=0, revisions={"r": RevisionCounts(7, 7)}), 1.0)
    for second in range(2, 56):
        loads.take(said(answers=7), float(second))
    assert loads.of("p", 55.0).ttft_met == 0.0
    for second in range(56, 66):
        loads.take(said(answers=7), float(second))
    assert (loads.of("p", 65.0).ttft_met, loads.of("p", 65.0).revisions) == (None, {})


def test_a_silent_router_drops_out() -> None:
    loads = book()
    loads.take(said("a", waiting_here=5, slots=8), 0.0)
    loads.take(said("b", waiting_here=1, slots=4), 5.0)
    assert loads.of("p", SILENT_S).waiting == 6
    assert (loads.of("p", SILENT_S + 1).waiting, loads.of("p", SILENT_S + 1).slots) == (1, 4)
    assert loads.of("p", SILENT_S + 6) == PoolLoad()
    assert (loads.routers(SILENT_S), loads.routers(SILENT_S + 1), loads.routers(SILENT_S + 6)) == (2, 1, 0)


def test_a_new_process_counts_from_nothing() -> None:
    loads = book()
    loads.take(said(arrivals=100, answers=100), 0.0)
    loads.take(said(arrivals=110, answers=110, waiting_here=3), 5.0)
    loads.take(said(incarnation="2", arrivals=20, answers=10, ttft_met=10), 10.0)
    load = loads.of("p", 10.0)
    assert (load.arrivals_per_s, load.waiting, load.ttft_met, load.routers) == (4.0, 0, 0.5, 1)


def test_what_still_comes_from_the_former_process_is_left_out() -> None:
    loads = book()
    loads.take(said(arrivals=100), 0.0)
    loads.take(said(incarnation="2", arrivals=1), 5.0)
    for second in (6.0, 7.0):  # or two routers that call themselves the same
        loads.take(said(arrivals=90_000, waiting_here=9, slots=1), second)
        loads.take(said(incarnation="2", arrivals=2), second)
    load = loads.of("p", 7.0)
    assert (load.waiting, load.slots) == (0, 0)
    assert load.arrivals_per_s == pytest.approx(2 / 7)


def test_a_report_that_is_late_changes_nothing() -> None:
    loads = book()
    loads.take(said(arrivals=10), 0.0)
    loads.take(said(arrivals=30, waiting_here=0), 4.0)
    before = loads.of("p", 5.0)
    assert loads.take(said(arrivals=20, waiting_here=7), 5.0) == []
    assert loads.of("p", 5.0) == before


def test_a_pool_that_left_a_router_and_returns_begins_anew() -> None:
    loads = book("p", "q")
    loads.take(said(arrivals=1000), 0.0)
    loads.take(said(pool="q"), 2.0)
    loads.take(said(arrivals=5), 4.0)
    loads.take(said(arrivals=15), 6.0)
    assert loads.of("p", 6.0).arrivals_per_s == 5.0


def test_counters_that_fell_are_believed_in_the_end() -> None:
    loads = book()
    loads.take(said(arrivals=2**53), 0.0)
    for second in range(1, 21):
        loads.take(said(arrivals=3 * second, slots=5), float(second))
    load = loads.of("p", 20.0)
    assert (load.arrivals_per_s, load.slots) == (3.0, 5)


def test_pools_that_are_not_served_are_forgotten() -> None:
    loads = book("p", "q")
    for pool in ("p", "q", "unknown"):
        loads.take(said(pool, pool=pool, answers=1), 0.0)
    loads.serve(["q"])
    assert (loads.of("p", 0.0), loads.of("unknown", 0.0)) == (PoolLoad(), PoolLoad())
    assert loads.of("q", 0.0).routers == 1


def test_only_so_many_routers_are_kept() -> None:
    loads = LoadBook(most_routers=2)
    loads.serve(["p"])
    loads.take(said("a"), 0.0)
    loads.take(said("b"), 30.0)
    with pytest.raises(TooManyRouters):
        loads.take(said("c"), 45.0)
    loads.take(said("b"), 45.0)
    loads.take(said("c"), FORGOTTEN_S + 1)
    assert loads.of("p", FORGOTTEN_S + 1).routers == 1


def test_one_report_adds_no_more_than_could_be() -> None:
    loads = book()
    loads.take(said(), 0.0)
    loads.take(said(arrivals=2**53, answers=2**53, revisions={"r": RevisionCounts(2**53, 2**53)}), 1.0)
    load = loads.of("p", 1.0)
    assert load.arrivals_per_s <= 1e6
    assert load.revisions["r"].requests <= 1e6


def test_pools_that_are_waited_for_without_a_replica() -> None:
    loads = book("p", "q")
    both = Report("r", "1", pools={"q": PoolReport(waiting_here=1), "p": PoolReport(waiting_here=2)})
    assert loads.take(both, 0.0) == ["p", "q"]
    assert loads.take(said(waiting_here=1, ready=1), 1.0) == []
    assert loads.take(said(pool="unknown", waiting_here=1), 2.0) == []


# What may happen to one router: it counts some more, it reports, its report comes twice, or late, or it is restarted.
EVENTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["count", "report", "again", "late", "restart"]), st.integers(0, 9)),
    max_size=60,
)


class Truth:
    """Routers as they are, beside what is told of them."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.lives: Counter[str] = Counter()
        self.in_all = 0
        self.sent: dict[str, list[Report]] = {}

    def reports(self, router: str, event: str, number: int) -> Iterator[Report]:
        if event == "count":
            self.counted[router] += number
            self.in_all += number
        elif event == "restart":
            self.counted[router] = 0
            self.lives[router] += 1
        elif event == "report":
            figures = {"arrivals": self.counted[router], "answers": self.counted[router], "ttft_met": self.counted[router] // 2}
            report = said(router, str(self.lives[router]), revisions={"x": RevisionCounts(self.counted[router])}, **figures)
            self.sent.setdefault(router, []).append(report)
            yield report
        elif self.sent.get(router):
            known = self.sent[router]
            lives = list(dict.fromkeys(report.incarnation for report in known))[-2:]
            late = [report for report in known if report.incarnation in lives]  # of this process or the one before
            yield known[-1] if event == "again" else late[number % len(late)]


@settings(deadline=None, derandomize=True)
@given(EVENTS)
def test_nothing_that_happens_makes_a_sum_negative_or_more_than_there_was(events: list[tuple[str, str, int]]) -> None:
    loads, truth = book(), Truth()
    for step, event in enumerate(events):
        now_s = step * 0.1  # all within the window, and no report is later than one can be
        for report in truth.reports(*event):
            loads.take(report, now_s)
            load = loads.of("p", now_s)
            counted = load.revisions["x"].requests if "x" in load.revisions else 0
            assert 0 <= counted <= truth.in_all
            assert load.arrivals_per_s >= 0
            assert load.ttft_met is None or 0 <= load.ttft_met <= 1


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(["count", "report", "again", "restart"]), st.integers(0, 9)), max_size=60))
def test_what_is_told_in_order_is_counted_exactly(events: list[tuple[str, int]]) -> None:
    loads, truth = book(), Truth()
    first = next(truth.reports("a", "report", 0))
    loads.take(first, 0.0)
    told = unheard = 0
    for step, (event, number) in enumerate(events):
        if event == "count":
            unheard += number
        elif event == "restart":
            unheard = 0  # what a process counted after its last report is lost with it
        for report in truth.reports("a", event, number):
            loads.take(report, step * 0.5)
            if event == "report":
                told, unheard = told + unheard, 0
    load = loads.of("p", len(events) * 0.5)
    assert (load.revisions["x"].requests if told else 0) == told
