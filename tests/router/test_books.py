import pytest

from router.books import REMEMBERED, Books
from router.errors import NotFound
from router.fleet.loads import LoadCounts
from router.metrics import Metrics
from router.request import Decision, Finished, Request, TextPrompt, Usage
from router.snapshot import Tenant
from tests.fleets import fleet_of

ONE, OTHER = Tenant("one"), Tenant("other")


class NoFleet:
    def view(self):
        return fleet_of([])


def answered(books: Books, request_id: str, tenant: Tenant = ONE) -> None:
    request = Request(request_id, "auto", TextPrompt("p"))
    books.started()
    books.finished(request, tenant, Finished(Usage(3, 2), 0.001, Decision("small", "smol", "r0", "why"), 0, 0.1, 0.2))
    books.ended()


def test_an_answer_is_counted_and_can_be_judged_by_whoever_asked() -> None:
    books = Books(metrics := Metrics(NoFleet()), LoadCounts())
    answered(books, "q")
    assert books.judged("q", 0.5, "fine", ONE) == "small"
    page = metrics.page().decode()
    assert 'headgate_router_request_total{fairness_id="one",model_name="auto",target_model_name="smol"} 1.0' in page
    assert 'headgate_router_feedback_total{label="fine",pool="small"} 1.0' in page


@pytest.mark.parametrize(("request_id", "tenant"), [("never", ONE), ("q", OTHER)])
def test_nobody_judges_what_was_not_theirs(request_id: str, tenant: Tenant) -> None:
    books = Books(Metrics(NoFleet()), LoadCounts())
    answered(books, "q")
    with pytest.raises(NotFound):
        books.judged(request_id, 1.0, "", tenant)


def test_memory_is_bounded() -> None:
    books = Books(Metrics(NoFleet()), LoadCounts())
    for number in range(REMEMBERED + 5):
        answered(books, str(number))
    with pytest.raises(NotFound):
        books.judged("4", 1.0, "", ONE)
    assert books.judged("5", 1.0, "", ONE) == "small"
