"""Recorded outcomes as a frozen table: a row per prompt, a column per pool. Values only; the readers are beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from router.choosing.features import Features, extract
from router.request import ChatPrompt, Sampling, TextPrompt

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class BadOutcomes(ValueError):
    """The table can't be used; the text names the part of it."""


@dataclass(frozen=True)
class Outcomes:
    """N prompts and K pools. A missing cell is NaN.

    prompts        text, or a JSON array of OpenAI messages, as it would reach the router
    pools          distinct names, K
    quality        float64[N, K], 0 to 1
    cost_usd       float64[N, K], of the whole answer, at least 0; left out: all NaN
    output_tokens  float64[N, K], at least 0; left out: all NaN
    domain         subject or task of each row, known in training only; None where nobody says
    """

    prompts: tuple[str, ...]
    pools: tuple[str, ...]
    quality: Floats
    cost_usd: Floats = field(default_factory=lambda: np.empty((0, 0)))
    output_tokens: Floats = field(default_factory=lambda: np.empty((0, 0)))
    domain: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.prompts), len(self.pools))
        if len(set(self.pools)) != len(self.pools) or not all(self.pools):
            raise BadOutcomes("pools: names must be distinct and not empty")
        if self.domain is not None and len(self.domain) != shape[0]:
            raise BadOutcomes(f"domain: {len(self.domain)} entries for {shape[0]} prompts")
        for name, largest in (("quality", 1.0), ("cost_usd", np.inf), ("output_tokens", np.inf)):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if name != "quality" and values.size == 0:
                values = np.full(shape, np.nan)
            if values.shape != shape:
                raise BadOutcomes(f"{name}: shape {values.shape}, {shape} expected")
            if np.isinf(values).any() or ((values < 0) | (values > largest)).any():
                raise BadOutcomes(f"{name}: a value is outside of 0 to {largest:g}")
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    def __len__(self) -> int:
        return len(self.prompts)

    @cached_property
    def groups(self) -> Ints:
        """Number of each row's group: rows whose prompts differ only in case and white space share one. int64[N]."""
        seen: dict[str, int] = {}
        numbers = (seen.setdefault(" ".join(prompt.split()).casefold(), len(seen)) for prompt in self.prompts)
        return np.fromiter(numbers, dtype=np.int64, count=len(self))

    @cached_property
    def mean_cost_usd(self) -> Floats:
        """Of each pool over the rows that tell; NaN where none does. float64[K]."""
        return _column_means(self.cost_usd)

    @cached_property
    def mean_quality(self) -> Floats:
        """Of each pool over the rows that tell; NaN where none does. float64[K]."""
        return _column_means(self.quality)

    def rows(self, chosen: Sequence[int] | Ints | NDArray[np.bool_]) -> "Outcomes":
        """The same table with these rows only, in this order; a mask is taken as well."""
        at = np.asarray(chosen)
        at = np.flatnonzero(at) if at.dtype == np.bool_ else at.astype(np.int64)
        return replace(
            self,
            prompts=tuple(self.prompts[row] for row in at),
            quality=self.quality[at],
            cost_usd=self.cost_usd[at],
            output_tokens=self.output_tokens[at],
            domain=None if self.domain is None else tuple(self.domain[row] for row in at),
        )


def read_features(prompt: str) -> Features:
    """What the router sees of such a prompt: an array of messages is read as a conversation, all else as text."""
    if prompt.lstrip().startswith("[") and _is_conversation(prompt):
        return extract(ChatPrompt(prompt.encode("utf-8", "replace")), Sampling())
    return extract(TextPrompt(prompt), Sampling())


def _is_conversation(prompt: str) -> bool:
    try:
        messages: Any = orjson.loads(prompt.encode("utf-8", "replace"))
    except orjson.JSONDecodeError:
        return False
    return isinstance(messages, list) and bool(messages) and all(isinstance(each, dict) and "role" in each for each in messages)


def _column_means(values: Floats) -> Floats:
    told = ~np.isnan(values)
    count = told.sum(axis=0)
    total = np.where(told, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
