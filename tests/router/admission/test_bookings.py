"""What was spent without asking."""

from router.admission import bookings
from router.admission.bookings import Bookings
from router.admission.records import Chain
from router.snapshot import Budget

ONE, TWO = Chain.of((Budget("one", 1.0),)), Chain.of((Budget("two", 1.0), Budget("one", 1.0)))


def test_each_request_counts_once_and_for_no_more_than_was_foreseen() -> None:
    book = Bookings()
    for hold, chain in (("a", ONE), ("b", ONE), ("c", TWO)):
        book.begin(hold, chain, 100)
    for hold, actual in (("a", 40), ("a", 40), ("b", 500), ("c", 7), ("unknown", 9)):
        book.settle(hold, actual)
    assert book.sums_nano == {ONE: 140, TWO: 7}
    assert book.waiting_nano == 147
    assert book.take() == {ONE: 140, TWO: 7}
    assert (book.take(), book.waiting_nano) == ({}, 147)  # on its way, not there yet
    book.booked(140)
    book.booked(7)
    assert book.waiting_nano == 0


def test_an_outage_with_too_many_tenants_says_what_is_lost() -> None:
    book = Bookings()
    for number in range(bookings.MOST_CHAINS + 2):
        book.begin(str(number), Chain.of((Budget(str(number), 1.0),)), 5)
        book.settle(str(number), 5)
    assert (len(book.sums_nano), book.lost_nano) == (bookings.MOST_CHAINS, 10)
