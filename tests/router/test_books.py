import pytest

from router.books import REMEMBERED, Books
from router.errors import InvalidRequest, NotFound
from router.fleet.loads import LoadCounts
from router.metrics import Metrics
from router.request import Decision, Embedding, Finished, Request, TextPrompt, Usage, Used
from router.snapshot import Tenant
from router.verdict import Verdict
from tests.fleets import fleet_of

ONE, OTHER = Tenant("one"), Tenant("other")


class NoFleet:
    def view(self):
        return fleet_of([])


class Pupil:
    """Keeps what it is told."""

    def __init__(self, books: Books, *, revises: bool = True) -> None:
        self.told: list[tuple[object, ...]] = []
        revise = (lambda *told: self.told.append(("revision", *told))) if revises else None
        books.learn_with(
            lambda *told: self.told.append(("feedback", *told)), lambda *told: self.told.append(("preference", *told)), revise
        )


def answered(books: Books, request_id: str, tenant: Tenant = ONE, trace: object | None = None) -> None:
    request = Request(request_id, "auto", TextPrompt("p"))
    books.started()
    finished = Finished(Usage(3, 2), 0.001, Decision("small", "smol", "r0", "why"), 0, 0.1, 0.2)
    books.finished(request, tenant, finished, trace)
    books.ended()


def books_of(*request_ids: str, metrics: Metrics | None = None) -> Books:
    """Each answer's trace is its id in capitals."""
    books = Books(metrics or Metrics(NoFleet()), LoadCounts())
    for request_id in request_ids:
        answered(books, request_id, trace=request_id.upper())
    return books


def test_an_answer_is_counted_and_can_be_judged_by_whoever_asked() -> None:
    books = books_of("q", metrics=(metrics := Metrics(NoFleet())))
    assert books.judged(Verdict("q", 0.5, "fine"), ONE) == "small"
    page = metrics.page().decode()
    assert 'headgate_router_request_total{fairness_id="one",model_name="auto",target_model_name="smol"} 1.0' in page
    assert 'headgate_router_feedback_total{label="fine",pool="small"} 1.0' in page
    assert 'headgate_router_feedback_score_sum{pool="small"} 0.5' in page


@pytest.mark.parametrize(
    ("verdict", "tenant", "param"),
    [
        (Verdict("never", 1.0), ONE, "request_id"),
        (Verdict("q", 1.0), OTHER, "request_id"),
        (Verdict("q", better_than="never"), ONE, "better_than"),
        (Verdict("q", better_than="theirs"), ONE, "better_than"),
        (Verdict("theirs", better_than="q"), ONE, "request_id"),
    ],
)
def test_nobody_judges_what_was_not_theirs(verdict: Verdict, tenant: Tenant, param: str) -> None:
    books = books_of("q")
    answered(books, "theirs", OTHER, "THEIRS")
    pupil = Pupil(books)
    with pytest.raises(NotFound) as caught:
        books.judged(verdict, tenant)
    assert caught.value.param == param
    assert not pupil.told


def test_two_tenants_may_have_an_id_in_common() -> None:
    books = books_of("q")
    answered(books, "q", OTHER, "THEIRS")
    pupil = Pupil(books)
    books.judged(Verdict("q", 1.0), ONE)
    books.judged(Verdict("q", 0.0), OTHER)
    assert pupil.told == [("feedback", "Q", 1.0, 1.0), ("feedback", "THEIRS", 0.0, 1.0)]


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (Verdict("a", 0.25), [("feedback", "A", 0.25, 1.0)]),
        (Verdict("a", 0.0, "good"), [("feedback", "A", 0.0, 1.0)]),  # a score counts for more than its label
        (Verdict("a", label="Good"), [("feedback", "A", 1.0, 1.0)]),
        (Verdict("a", label="bad"), [("feedback", "A", 0.0, 1.0)]),
        (Verdict("a", label="funny"), []),
        (Verdict("a", better_than="b"), [("preference", "A", "B")]),
        (Verdict("a", 1.0, better_than="b"), [("feedback", "A", 1.0, 1.0), ("preference", "A", "B")]),
        (Verdict("a", better_than="untraced"), []),
        (Verdict("untraced", 1.0, better_than="a"), []),
    ],
)
def test_what_the_learner_hears(verdict: Verdict, told: list[tuple[object, ...]]) -> None:
    books = books_of("a", "b")
    answered(books, "untraced")
    pupil = Pupil(books)
    assert books.judged(verdict, ONE) == "small"
    assert pupil.told == told


def test_a_second_verdict_replaces_the_first_and_no_answer_teaches_twice() -> None:
    books = books_of("a", "b", "c", metrics=(metrics := Metrics(NoFleet())))
    pupil = Pupil(books)
    for verdict in (Verdict("a", 1.0), Verdict("a", 1.0), Verdict("a", 0.25), Verdict("a", label="bad"), Verdict("a", 0.0)):
        books.judged(verdict, ONE)
    assert pupil.told == [("feedback", "A", 1.0, 1.0), ("revision", "A", 0.25, 1.0), ("revision", "A", 0.0, 0.25)]
    pupil.told.clear()
    for _ in range(3):
        books.judged(Verdict("b", better_than="a"), ONE)
        books.judged(Verdict("b", better_than="c"), ONE)
    assert pupil.told == [("preference", "B", "A")]
    page = metrics.page().decode()
    assert 'headgate_router_feedback_score_count{pool="small"} 1.0' in page
    assert 'headgate_router_feedback_changed_total{pool="small"} 8.0' in page


def test_without_a_way_to_revise_the_first_score_stands() -> None:
    books = books_of("a")
    pupil = Pupil(books, revises=False)
    books.judged(Verdict("a", 1.0), ONE)
    books.judged(Verdict("a", 0.0), ONE)
    assert pupil.told == [("feedback", "A", 1.0, 1.0)]


def test_an_answer_is_not_better_than_itself() -> None:
    books = books_of("a")
    with pytest.raises(InvalidRequest) as caught:
        books.judged(Verdict("a", better_than="a"), ONE)
    assert caught.value.param == "better_than"


def test_an_id_that_comes_again_stands_for_the_newer_answer() -> None:
    books = books_of("a")
    pupil = Pupil(books)
    books.judged(Verdict("a", 1.0), ONE)
    answered(books, "a", trace="NEWER")
    books.judged(Verdict("a", 0.0), ONE)
    assert pupil.told[-1] == ("feedback", "NEWER", 0.0, 1.0)


def test_memory_is_bounded() -> None:
    books = Books(Metrics(NoFleet()), LoadCounts())
    for number in range(REMEMBERED + 5):
        answered(books, str(number))
    with pytest.raises(NotFound):
        books.judged(Verdict("4", 1.0), ONE)
    assert books.judged(Verdict("5", 1.0), ONE) == "small"


def test_embeddings_and_escalations_are_counted() -> None:
    books = Books(metrics := Metrics(NoFleet()), LoadCounts())
    decision = Decision("vectors", "mini", "v0", "embeds")
    books.embedded(ONE, Embedding(((1.0,),), 7, decision, 0.25, Used(0.5, 0.25, 2.0)))
    books.escalated("small", "large")
    page = metrics.page().decode()
    assert 'headgate_router_request_cost_usd_total{pool="vectors",tenant="one"} 0.25' in page
    assert 'headgate_router_energy_wh_total{pool="vectors",tenant="one"} 0.5' in page
    assert 'headgate_router_escalations_total{from="small",to="large"} 1.0' in page
