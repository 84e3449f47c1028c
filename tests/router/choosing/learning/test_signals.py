"""Signs of bad answers: how much they count, and when a prompt counts as asked again."""

import pytest

from router.choosing.learning.signals import AskedBefore, Signal, lesson
from router.request import Request, TextPrompt
from tests.router.choosing.learning.given import an_occasion

PROMPT = b"how tall is the tower?"


def asked(session: str = "s1", tenant: str = "acme") -> Request:
    return Request("r", "auto", TextPrompt(""), tenant=tenant, session=session)


@pytest.mark.parametrize("signal", list(Signal))
def test_every_signal_is_bad_and_weaker_than_a_verdict(signal: Signal) -> None:
    taught = lesson(signal)
    assert taught.score == 0.0
    assert 0.0 < taught.weight < 0.5


def test_surer_signs_count_more() -> None:
    weights = [lesson(each).weight for each in (Signal.BROKE_FORM, Signal.ESCALATED, Signal.ASKED_AGAIN)]
    assert weights == sorted(weights, reverse=True)
    assert len(set(weights)) == 3


def test_the_same_prompt_in_the_same_session_soon_is_asked_again_once() -> None:
    before, occasion = AskedBefore(b"secret"), an_occasion()
    before.answered(asked(), PROMPT, occasion, 100.0)
    assert before.asks(asked(), PROMPT, 159.0) is occasion
    assert before.asks(asked(), PROMPT, 159.5) is None


@pytest.mark.parametrize(
    ("request_", "prompt", "now_s"),
    [
        (asked(session="s2"), PROMPT, 101.0),
        (asked(tenant="rival"), PROMPT, 101.0),
        (asked(), b"how tall is the other tower?", 101.0),
        (asked(), PROMPT, 161.0),
        (asked(session=""), PROMPT, 101.0),
    ],
    ids=["another session", "another tenant", "another prompt", "later", "no session"],
)
def test_anything_else_is_not(request_: Request, prompt: bytes, now_s: float) -> None:
    before = AskedBefore(b"secret")
    before.answered(asked(), PROMPT, an_occasion(), 100.0)
    assert before.asks(request_, prompt, now_s) is None


def test_without_a_session_nothing_is_kept() -> None:
    before = AskedBefore(b"secret")
    before.answered(asked(session=""), PROMPT, an_occasion(), 100.0)
    assert not before._answers


def test_names_that_run_together_are_told_apart() -> None:
    before = AskedBefore(b"secret")
    before.answered(asked(session="b", tenant="a"), PROMPT, an_occasion(), 100.0)
    assert before.asks(asked(session="", tenant="ab"), PROMPT, 101.0) is None
    assert before.asks(asked(session="bc", tenant="a"), PROMPT, 101.0) is None


def test_what_is_too_old_to_be_asked_again_is_not_kept() -> None:
    before = AskedBefore(b"secret")
    for at in range(100):
        before.answered(asked(session=f"s{at}"), PROMPT, an_occasion(), float(at))
    assert len(before._answers) == 61
    before.answered(asked(), PROMPT, an_occasion(), 1000.0)
    assert len(before._answers) == 1


def test_no_text_is_kept_and_the_number_kept_is_bounded() -> None:
    before = AskedBefore(b"secret", remembered=5)
    for at in range(20):
        before.answered(asked(session=f"s{at}"), PROMPT, an_occasion(), 100.0)
    assert len(before._answers) == 5
    assert all(PROMPT not in key and len(key) == 16 for key in before._answers)
    assert before.asks(asked(session="s19"), PROMPT, 101.0) is not None
    assert before.asks(asked(session="s0"), PROMPT, 101.0) is None
