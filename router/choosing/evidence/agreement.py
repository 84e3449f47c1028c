"""Evidence from several samples of one question: what most of them say is more often right, the more so the larger the share.

Self-consistency (Wang et al., 2022, arXiv 2203.11171): samples are compared by their final answers, not by the way there.
Answers without a short final part (essays, code) are compared whole, so they hardly ever agree.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from router.choosing.evidence.sample import Sample, ToolCall

# All patterns are linear in the text: no repeat within a repeat.
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")
# A and I are words too, so as an option they must stand at the end of something.
_OPTION = re.compile(
    r"\b(?i:answer|option|choice)(?i:\s+is)?\s*:?\s*\**\s*(?:\(([A-Ja-j])\)|([B-HJ])(?![\w'’])|([AI])(?=\**\s*(?:[.,;:)]|$)))",
    re.M,
)
_BARE_OPTION = re.compile(r"\(?([A-J])\)?[.:]?")
_BOXED = "\\boxed{"
_TAIL_CHARS = 2000  # the final answer stands at the end
_LONGEST_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Vote:
    """`share` of all samples that say what the sample `winner` says; 0 where none says anything."""

    share: float
    winner: int


def majority(answers: Sequence[str], *, anchored: bool = False) -> Vote:
    """Counts equal final answers; "" votes for nothing. The first of the largest group wins; of groups of one size, the one
    that was heard first. `anchored`: sample 0 is the answer whatever the others say, and only its own share counts.
    """
    if anchored:
        return Vote(answers.count(answers[0]) / len(answers) if answers[0] else 0.0, 0)
    groups: dict[str, list[int]] = {}
    for index, answer in enumerate(answers):
        if answer:
            groups.setdefault(answer, []).append(index)
    if not groups:
        return Vote(0.0, 0)
    largest = max(groups.values(), key=len)
    return Vote(len(largest) / len(answers), largest[0])


def final_answer(sample: Sample, *, is_json: bool = False) -> str:
    """What the sample comes to, in a form in which equal answers are equal; "" where it says nothing.

    In this order: its tool calls; a JSON value, where one was asked for or the text is an object or a list; what is \\boxed; an
    option letter ("the answer is (C)"); the last number of the last line; else the whole text without case and spacing.
    """
    if sample.tool_calls and (calls := _canonical([_called(call) for call in sample.tool_calls])):
        return calls
    text = sample.text.strip()
    if (is_json or text[:1] in ("{", "[")) and (value := _canonical(_json(text))):
        return value
    tail = text[-_TAIL_CHARS:]
    return _boxed(tail) or _option(tail) or _last_number(tail) or " ".join(text.lower().split())


def _called(call: ToolCall) -> list[Any]:
    arguments = _json(call.arguments)
    return [call.name, call.arguments if arguments is None else arguments]


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _canonical(value: Any) -> str:
    """Equal values in equal words; "" for none, and for one too deep to be written."""
    try:
        return "" if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError:
        return ""


def _boxed(tail: str) -> str:
    """The content of the last complete \\boxed{…}."""
    start = tail.rfind(_BOXED)
    if start < 0:
        return ""
    depth = 1
    for at in range(start + len(_BOXED), len(tail)):
        depth += (tail[at] == "{") - (tail[at] == "}")
        if not depth:
            content = tail[start + len(_BOXED) : at].strip()
            return _canonical_number(content.strip("$ ")) or "".join(content.lower().split())
    return ""


def _option(tail: str) -> str:
    bare = _BARE_OPTION.fullmatch(tail)
    found = [bare[1]] if bare else ["".join(groups) for groups in _OPTION.findall(tail)]
    return f"({found[-1].upper()})" if found else ""


def _last_number(tail: str) -> str:
    last_line = tail.rpartition("\n")[2]
    found = _NUMBER.findall(last_line)
    return _canonical_number(found[-1]) if found else ""


def _canonical_number(text: str) -> str:
    """1,200.50 and 1200.5 are one number; "" where it is none, or longer than anyone means."""
    digits = text.replace(",", "").removesuffix(".")
    if len(digits) > _LONGEST_DIGITS:
        return ""
    try:
        number = Decimal(digits)
    except InvalidOperation:
        return ""
    return format(number.normalize(), "f") if number.is_finite() and abs(number.adjusted()) <= _LONGEST_DIGITS else ""
