"""Fits a predictor of quality from outcomes. Deterministic: the same outcomes and seed give the same arrays.

The order: look at the prompts → vectors of words, steps of form, odds of domains → four heads per score, cross-validated →
their mixture → calibration, trust and lengths. Everything that is chosen is chosen on prompts that were held out.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from router.choosing.quality.artefact import About, pack
from router.choosing.quality.model import Parts, QualityModel
from training.fit.calibration import calibration_error, fit_lines
from training.fit.embedding import Embedding, fit_embedding
from training.fit.forest import DEPTH
from training.fit.heads import HEADS, Heads, Seen, fit_heads
from training.fit.lengths import fit_lengths
from training.fit.mixing import Mixture, fix, mix
from training.fit.remarks import remarks
from training.fit.spans import choose_spans, known_shares, look
from training.fit.steps import Steps, fit_steps
from training.fit.subjects import Teller, fit_teller, label
from training.fit.targets import Targets, rotate
from training.fit.trusting import fit_nearness
from training.outcomes.table import Floats, Ints, Outcomes

_FOLDS = 5
Line = tuple[Floats, Floats]
# More prompts than these hardly change a model of this size; it bounds time and memory.
MOST_ROWS = 40_000


@dataclass(frozen=True)
class Fitted:
    """model; parts and about, which `artefact.write` takes; rows int64[n], those of the table that were used;
    quality float64[n, K], predictions of these rows by models that had not seen them; notes in plain words."""

    model: QualityModel
    parts: Parts
    about: About
    rows: Ints
    quality: Floats
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """How prompts are read: fitted on their text alone, no outcome has a part in it."""

    embedding: Embedding
    steps: Steps
    teller: Teller
    names: tuple[str, ...]
    known: Floats
    seen: Seen


def fit(outcomes: Outcomes, seed: int = 0, trained_at: str = "", heads: Floats | None = None) -> Fitted:
    """`trained_at` is only written down; `heads` float64[4] fixes the mixture, to try parts alone.

    Raises ValueError for a table without rows or pools.
    """
    if not len(outcomes) or not outcomes.pools:
        raise ValueError("there are no outcomes to learn from")
    # The matrices are small: on a busy machine BLAS's threads wait for each other four times as long as they compute.
    with threadpool_limits(limits=1, user_api="blas"):
        return _fit(outcomes, seed, trained_at, heads)


def _fit(outcomes: Outcomes, seed: int, trained_at: str, heads: Floats | None) -> Fitted:
    rows = _sample(len(outcomes), seed)
    table = outcomes if len(rows) == len(outcomes) else outcomes.rows(rows)
    folds = _folds(table.groups, seed)
    reading = _read(table, folds, seed)
    targets = rotate(table.quality)
    mixture = _cross_validate(reading.seen, targets, folds, seed)
    if heads is not None:
        mixture = fix(mixture, heads)
    uncalibrated = targets.prior + mixture.held_out @ targets.basis
    slope, offset = fit_lines(uncalibrated, table.quality, targets.prior)
    quality = np.clip(uncalibrated * slope + offset, 0.0, 1.0)
    fitted = fit_heads(reading.seen, targets.scores, seed)
    parts = _parts(reading, targets, fitted, mixture, (slope, offset), quality, table)
    errors = {pool: calibration_error(quality[:, at], table.quality[:, at]) for at, pool in enumerate(table.pools)}
    notes = remarks(outcomes, table, targets, mixture.beats, quality)
    told = {pool: round(error, 6) for pool, error in errors.items() if np.isfinite(error)}
    about = About(trained_at, len(table), seed, told, reading.names, notes)
    _, version = pack(table.pools, parts, about)
    return Fitted(QualityModel(version, table.pools, parts), parts, about, rows, quality, notes)


def _sample(rows: int, seed: int) -> Ints:
    if rows <= MOST_ROWS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:MOST_ROWS])


def _folds(groups: Ints, seed: int) -> Ints:
    """Fold of each row; equal prompts share one. A single prompt is a fold of its own."""
    folds = np.zeros(len(groups), dtype=np.int64)
    count = min(_FOLDS, len(np.unique(groups)))
    if count > 1:
        splitter = GroupKFold(count, shuffle=True, random_state=seed)
        for fold, (_, test) in enumerate(splitter.split(groups, groups=groups)):
            folds[test] = fold
    return folds


def _read(table: Outcomes, folds: Ints, seed: int) -> Reading:
    looked = look(table.prompts)
    spans = choose_spans(looked.buckets)
    embedding = fit_embedding(looked.buckets, spans, seed)
    steps = fit_steps(looked.numbers)
    standard, vectors = steps.standardise(looked.numbers), embedding.embed(looked.buckets)
    labels, names = label(table.domain, vectors, seed)
    told = np.concatenate([standard, vectors], axis=1)
    subjects = np.zeros((len(table), len(names)))
    for fold in np.unique(folds):
        inside = folds == fold
        subjects[inside] = fit_teller(told[~inside], labels[~inside], len(names), seed).tell(told[inside])
    seen = Seen(standard, steps.steps(standard), vectors, subjects, labels)
    teller = fit_teller(told, labels, len(names), seed)
    return Reading(embedding, steps, teller, names, known_shares(looked.buckets, spans), seen)


def _cross_validate(seen: Seen, targets: Targets, folds: Ints, seed: int) -> Mixture:
    said = np.zeros((len(HEADS), *targets.scores.shape))
    for fold in np.unique(folds):
        inside = folds == fold
        if inside.all():
            break
        train, test = np.flatnonzero(~inside), np.flatnonzero(inside)
        said[:, test] = fit_heads(seen.rows(train), targets.scores[train], seed).predict(seen.rows(test))
    return mix(said, targets.scores, folds)


def _parts(
    reading: Reading, targets: Targets, heads: Heads, mixture: Mixture, line: Line, quality: Floats, table: Outcomes
) -> Parts:
    """The arrays of the router's model; the weights of the mixture are multiplied into those of the heads."""
    seen, steps, forest, weights = reading.seen, reading.steps, heads.forest, mixture.weights
    numbers = seen.standard.shape[1]
    form = heads.form.weights * weights[0]
    constant = heads.form.intercept * weights[0] + heads.words.intercept * weights[1]
    nearness = fit_nearness(seen.x, reading.known)
    token_weights, token_range = fit_lengths(seen.x, table.output_tokens)
    return Parts(
        slots=reading.embedding.spans.slots,
        vectors=reading.embedding.vectors,
        centre=steps.centre,
        scale=steps.scale,
        step_of=steps.step_of,
        step_at=steps.step_at,
        step_weights=form[numbers:],
        score_weights=np.concatenate([form[:numbers], heads.words.weights * weights[1], constant[None]]),
        domain_weights=reading.teller.weights,
        domain_scores=heads.means,
        mixture=weights[2],
        roots=forest.roots,
        node_of=forest.node_of,
        node_at=forest.node_at,
        children=forest.children,
        node_scores=forest.node_scores * weights[3],
        depth=np.array([DEPTH]),
        basis=targets.basis,
        prior=targets.prior,
        slope=line[0],
        offset=line[1],
        metric=nearness.metric,
        near=nearness.near,
        noise=_noise(table.quality, quality),
        between=quality.std(axis=0),
        token_weights=token_weights,
        token_range=token_range,
    )


def _noise(quality: Floats, predicted: Floats) -> Floats:
    """Standard deviation of the outcomes around the predictions; 0.5, that of a coin, where there are none."""
    told = ~np.isnan(quality)
    squares = np.where(told, (quality - predicted) ** 2, 0.0).sum(axis=0)
    return np.where(told.any(axis=0), np.sqrt(squares / np.maximum(told.sum(axis=0), 1)), 0.5)
