"""The operator's own judges: bounded, never trusted, quiet about what they saw."""

import asyncio
import logging
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from router.config import ConfigError
from router.request import ChatPrompt, Request, TextPrompt, TokenPrompt
from router.verifiers import PATIENCE_S, Verifiers, load_verifiers, question_of

ASKED = Request("q", "auto", TextPrompt("What is 6 times 7?"))

pytestmark = pytest.mark.looptime


class ShortIsGood:
    async def judge(self, question: str, answer: str) -> float:
        return 1.0 if len(answer) < 10 else 0.1


class NotAsync:
    def judge(self, question: str, answer: str) -> float:
        return 1.0


class Says:
    def __init__(self, *scores: object) -> None:
        self.scores = list(scores)

    async def judge(self, question: str, answer: str) -> float:
        score = self.scores.pop(0)
        if isinstance(score, BaseException):
            raise score
        return score


class Slow:
    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s
        self.ended = ""

    async def judge(self, question: str, answer: str) -> float:
        try:
            await asyncio.sleep(self.wait_s)
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        return 1.0


async def test_the_lowest_of_several_scores_counts() -> None:
    assert await Verifiers({"small": Says(0.9, 0.2, 0.7)}).score("small", ASKED, ["a", "b", "c"]) == 0.2


async def test_the_pools_own_verifier_comes_before_that_of_every_pool() -> None:
    both = Verifiers({"small": Says(0.1), "*": Says(0.9)})
    assert await both.score("small", ASKED, ["a"]) == 0.1
    assert await both.score("mid", ASKED, ["a"]) == 0.9
    assert await Verifiers({"small": Says(0.1)}).score("mid", ASKED, ["a"]) is None


@pytest.mark.parametrize("score", [np.float32(0.5), Fraction(1, 2), 0.5])
async def test_any_real_number_will_do(score: object) -> None:
    assert await Verifiers({"*": Says(score)}).score("small", ASKED, ["a"]) == 0.5


@pytest.mark.parametrize("score", ["0.5", None, [0.5], 1 + 0j])
async def test_anything_else_is_no_evidence(score: object) -> None:
    assert await Verifiers({"*": Says(score)}).score("small", ASKED, ["a"]) is None


async def test_a_slow_one_is_waited_for_so_long_and_then_ended() -> None:
    slow = Slow(60)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await Verifiers({"*": slow}).score("small", ASKED, ["a"]) is None
    assert (loop.time() - began, slow.ended) == (pytest.approx(PATIENCE_S), "cancelled")
    assert await Verifiers({"*": Slow(PATIENCE_S / 2)}).score("small", ASKED, ["a"]) == 1.0


async def test_it_is_never_waited_for_beyond_the_deadline() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    asked = replace(ASKED, deadline=began + 0.5)
    assert await Verifiers({"*": Slow(1)}).score("small", asked, ["a"]) is None
    assert loop.time() - began == pytest.approx(0.5)


async def test_when_one_fails_the_others_are_ended() -> None:
    class OneFails(Slow):
        async def judge(self, question: str, answer: str) -> float:
            return await super().judge(question, answer) if answer == "slow" else 1 / 0

    verifier = OneFails(1)
    assert await Verifiers({"*": verifier}).score("small", ASKED, ["slow", "bad"]) is None
    assert verifier.ended == "cancelled"


async def test_one_that_cancels_itself_has_said_nothing() -> None:
    assert await Verifiers({"*": Says(asyncio.CancelledError())}).score("small", ASKED, ["a"]) is None


async def test_who_cancels_the_request_cancels_the_verifier() -> None:
    slow = Slow(1)
    task = asyncio.create_task(Verifiers({"*": slow}).score("small", ASKED, ["a"]))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert slow.ended == "cancelled"


async def test_a_failure_is_told_once_until_it_works_again_and_quotes_nobody(caplog: pytest.LogCaptureFixture) -> None:
    verifiers = Verifiers({"*": Says(ValueError("What is 6 times 7? said secret"), 9, 0.5, None)})
    with caplog.at_level(logging.INFO):
        for _ in range(4):
            await verifiers.score("small", ASKED, ["secret"])
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "the verifier of pool small failed: ValueError",
        "the verifier of pool small gave a score that is no number from 0 to 1",
    ]
    assert "secret" not in caplog.text
    assert "6 times 7" not in caplog.text


CHAT = b'[{"role":"system","content":"Be brief"},{"role":"user","content":"old"},{"role":"assistant","content":"x"},%s]'


@pytest.mark.parametrize(
    ("prompt", "question"),
    [
        (TextPrompt("as it is"), "as it is"),
        (TokenPrompt((1, 2)), ""),
        (ChatPrompt(CHAT % b'{"role":"user","content":"new"}'), "new"),
        (
            ChatPrompt(CHAT % b'{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"},{"text":"b"}]}'),
            "a\nb",
        ),
        (ChatPrompt(CHAT % b'{"role":"tool","content":"result"}'), "old"),
        (ChatPrompt(CHAT % b'{"role":"user","content":7}'), ""),
        (ChatPrompt(b"[1, {}]"), ""),
        (ChatPrompt(b"not json"), ""),
        (ChatPrompt(b"7"), ""),
    ],
)
async def test_the_question_is_the_last_thing_the_user_said(prompt: object, question: str) -> None:
    assert question_of(replace(ASKED, prompt=prompt)) == question
    expected = 0.5 if question else None
    assert await Verifiers({"*": Says(0.5)}).score("small", replace(ASKED, prompt=prompt), ["a"]) == expected


async def test_a_class_is_loaded_by_its_name() -> None:
    verifiers = load_verifiers({"small": f"{__name__}:ShortIsGood"})
    assert await verifiers.score("small", ASKED, ["42"]) == 1.0
    assert await verifiers.score("small", ASKED, ["42", "a long answer"]) == 0.1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("no.such.module:Class", "verifiers.small: no.such.module:Class: No module named 'no'"),
        (f"{__name__}:Nothing", "has no class 'Nothing'"),
        ("collections:Counter", "has no method 'judge'"),
        (
            f"{__name__}:NotAsync",
            "verifiers.small: " + __name__ + ":NotAsync must have `async def judge(self, question, answer)`",
        ),
    ],
)
async def test_faults_at_start_name_the_key(path: str, text: str) -> None:
    with pytest.raises(ConfigError) as fault:
        load_verifiers({"small": path})
    assert text in str(fault.value)
