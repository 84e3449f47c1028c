"""No model's answer and no program's log may reach the terminal's controls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.printable import LineSplitter, Stripper, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("caf\u00e9 \U0001f30a 水門", "caf\u00e9 \U0001f30a 水門"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hgone", "gone"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(Bcharset", "charset"),
        ("\x9b31mred", "red"),
        ("\x9d0;title\x9cafter", "after"),
        ("\x1bPq#0;\x1b\\after", "after"),
        ("bell\x07 back\x08 return\r null\x00 delete\x7f", "bell back return null delete"),
        ("right\u202eto left\u2066", "rightto left"),
        ("\x1b]never closed\nnext line", "next line"),
        ("\x1b", ""),
    ],
)
def test_controls_go_and_text_stays(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_string_that_is_never_closed_does_not_swallow_the_answer() -> None:
    assert printable("\x1b]" + "x" * 1000).endswith("x" * 700)


@given(st.text(alphabet=st.sampled_from("ab\x1b[]0;m\x07\\\n\x9b\x9d"), max_size=40), st.integers(0, 40))
def test_a_cut_makes_no_difference(text: str, cut: int) -> None:
    stripper = Stripper()
    assert stripper.feed(text[:cut]) + stripper.feed(text[cut:]) == printable(text)


@given(st.text(max_size=200))
def test_nothing_that_controls_is_left(text: str) -> None:
    assert not any((char < " " and char not in "\n\t") or "\x7f" <= char <= "\x9f" for char in printable(text))


def test_lines_come_whole() -> None:
    lines = LineSplitter()
    assert lines.feed(b"one\ntw") == ["one"]
    assert lines.feed("ö\r\nthree".encode()) == ["twö"]
    assert lines.close() == ["three"]
    assert lines.close() == []


def test_a_progress_bar_is_one_line() -> None:
    assert LineSplitter().feed(b" 10%\r 50%\r100%\n") == ["100%"]


def test_a_line_without_end_is_cut() -> None:
    lines = LineSplitter(longest_chars=10)
    assert [len(line) for line in lines.feed(b"x" * 1000)] == [10]
    assert lines.feed(b"\nnext\n") == ["", "next"]


def test_bytes_that_are_no_text() -> None:
    assert LineSplitter().feed(b"\xff\xfe\n") == ["\ufffd\ufffd"]
