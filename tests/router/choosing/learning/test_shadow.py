"""The book that compares the shadow with what serves."""

import pytest

from router.choosing.learning.shadow import Pair, ShadowBook, ShadowFigures


def test_it_compares_choices_costs_and_outcomes() -> None:
    book = ShadowBook()
    book.follow("v2")
    book.decided(Pair("a", "a", 0.8, 0.7, 0.02, 0.02))
    book.decided(Pair("a", "b", 0.8, 0.9, 0.02, 0.01))
    book.judged("v2", 0.8, 0.5, 1.0)
    book.judged("v1", 0.0, 0.0, 1.0)  # of a shadow that is gone
    figures = book.figures()
    assert (figures.version, figures.requests, figures.outcomes) == ("v2", 2, 1)
    assert figures.agreement == 0.5
    assert figures.quality_gain == pytest.approx(0.0)
    assert figures.saved_usd == pytest.approx(0.005)
    assert figures.brier == pytest.approx(0.04)
    assert figures.shadow_brier == pytest.approx(0.25)


def test_another_shadow_begins_anew() -> None:
    book = ShadowBook()
    book.follow("v2")
    book.decided(Pair("a", "b", 0.8, 0.9, 0.02, 0.01))
    book.follow("v3")
    assert book.figures() == ShadowFigures(version="v3")
