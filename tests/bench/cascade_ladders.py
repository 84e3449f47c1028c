"""Which pools to compare on GSM8K, in closed form: what a ladder costs and how often it is right, chosen on one half of the
questions and read on the other. `cascade_replay.py` runs one of them through the router's own code.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from tests.bench.cascade_data import PRICES_USD, STRONG, Floats, Replay

SEED = 5
SPLITS = 40
CHOSEN_BELOW = 0.33  # of the strong model's cost; chosen with a margin, since the other half may cost more


def expected(data: Replay, ladder: Sequence[str], rate: float) -> tuple[Floats, Floats]:
    """Probability of a right answer, and expected USD, per question, where two pools must say the same: in closed form."""
    count = len(data.questions)
    right, usd, open_ = np.zeros(count), np.zeros(count), np.ones(count)
    rights, wrongs = np.zeros(count), np.zeros(count)
    for model in ladder:
        is_right = data.right[model]
        usd += open_ * data.cost_usd(model)
        if model == ladder[-1]:
            right += open_ * is_right
            break
        passes = is_right & (rights >= 1)
        right += open_ * passes
        same = wrongs * rate / np.maximum((1 - rate) + wrongs * rate, 1e-12)
        open_ = open_ * np.where(passes, 0.0, np.where(is_right, 1.0, 1.0 - same))
        rights, wrongs = rights + is_right, wrongs + ~is_right
    return right, usd


def ladders() -> list[tuple[str, ...]]:
    """Two or three small models, the cheapest first, a middle one or none, the strong one."""
    small = [model for model, price in PRICES_USD.items() if price <= 0.2]  # by price
    middle: list[tuple[str, ...]] = [(), *((model,) for model, price in PRICES_USD.items() if 0.2 < price < PRICES_USD[STRONG])]
    return [(*first, *then, STRONG) for size in (2, 3) for first in combinations(small, size) for then in middle]


def held_out(data: Replay, rate: float) -> dict[str, float]:
    """Ladders chosen on one half of the questions (the most accurate below CHOSEN_BELOW), read on the other; mean of SPLITS."""
    each = [expected(data, ladder, rate) for ladder in ladders()]
    right, usd = np.array([row[0] for row in each]), np.array([row[1] for row in each])
    strong_right, strong_usd = data.right[STRONG].astype(float), data.cost_usd(STRONG)
    rng = np.random.default_rng(SEED)
    gains, shares = [], []
    for _ in range(SPLITS):
        order = rng.permutation(len(data.questions))
        mine, other = order[::2], order[1::2]
        share = usd[:, mine].mean(axis=1) / strong_usd[mine].mean()
        best = int(np.where(share <= CHOSEN_BELOW, right[:, mine].mean(axis=1), -1.0).argmax())
        gains.append(float(right[best, other].mean() - strong_right[other].mean()))
        shares.append(float(usd[best, other].mean() / strong_usd[other].mean()))
    return {
        "accuracy": float(np.mean(gains)) + float(strong_right.mean()),
        "cost_share": float(np.mean(shares)),
        "above_strong": float(np.mean(gains)),
        "splits_above": float(np.mean(np.array(gains) >= 0)),
    }


def interval(data: Replay, ladder: Sequence[str], rate: float) -> tuple[float, float]:
    """95 % of how far the ladder is above the strong model, had other questions been asked (bootstrap)."""
    gain = expected(data, ladder, rate)[0] - data.right[STRONG]
    drawn = np.random.default_rng(SEED).choice(gain, (4000, len(gain)))
    low, high = np.quantile(drawn.mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def holds_up_to(data: Replay, ladder: Sequence[str]) -> float:
    """The highest rate of coincidence at which the ladder is still as accurate as the strong model."""
    target = float(data.right[STRONG].mean())
    rates = np.linspace(0, 0.99, 100)
    return float(max((rate for rate in rates if expected(data, ladder, float(rate))[0].mean() >= target), default=0.0))


def by_text(data: Replay, cheap: str) -> float:
    """The least cost share at which a router that knows the question's text alone has the strong model's accuracy. It predicts
    for each question, by a model that has not seen it, whether `cheap` is right. The threshold is the best in hindsight.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(max_iter=1000))
    quality: Floats = cross_val_predict(model, data.questions, data.right[cheap], cv=5, method="predict_proba")[:, 1]
    order = np.argsort(-quality)  # the surest go to the cheap one first
    right = np.concatenate([[0], np.cumsum(data.right[cheap][order].astype(float) - data.right[STRONG][order])])
    saved = np.concatenate([[0], np.cumsum(data.cost_usd(STRONG)[order] - data.cost_usd(cheap)[order])])
    most = int(np.flatnonzero(right >= 0).max())
    return 1 - float(saved[most] / data.cost_usd(STRONG).sum())
