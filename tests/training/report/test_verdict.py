"""What predictions are worth: against the known chances of the invented outcomes, and in the odd cases."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.invented import CHANCES, outcomes
from tests.training.report.toy import Knowing, Means
from training.outcomes.table import Outcomes
from training.report import folds
from training.report.predicted import features_of, predict_all, predict_held_out
from training.report.slices import slices_of
from training.report.verdict import Verdict, judge

TABLE = outcomes(4000)


def verdict(table: Outcomes, model: Knowing | None = None) -> Verdict:
    return judge(table, predict_all(model or Knowing(), table, features_of(table)), seed=3)


def test_a_predictor_that_knows_the_chances() -> None:
    found = verdict(TABLE)
    assert found.choice
    assert found.tested == 4000
    assert found.error < 0.03
    assert found.low_trust == 0
    # Small is better in chat alone, a quarter of the prompts, and costs a tenth there.
    assert found.choice.best == 1
    assert found.choice.priced
    assert found.choice.mean_quality[1] == pytest.approx(np.mean([large for _, large in CHANCES.values()]), abs=0.02)
    assert found.choice.reached
    assert found.choice.saving.value == pytest.approx(0.25 * 0.9, abs=0.02)
    assert found.choice.saving.low - 1e-9 <= found.choice.saving.value <= found.choice.saving.high + 1e-9
    assert found.choice.nearly.value >= found.choice.saving.value
    chat = np.array(TABLE.domain) == "chat"
    won = (TABLE.quality[chat, 0] - TABLE.quality[chat, 1]).sum() / len(TABLE)
    assert found.choice.gain.value == pytest.approx(won, abs=0.003)
    assert found.choice.gain.low < won < found.choice.gain.high
    zero, ours, best = found.choice.aiq[1], found.choice.aiq[0], found.choice.aiq[2]
    assert zero < ours < best
    assert 0.6 < found.choice.gap_recovered < 1.2


def test_constants_are_worth_as_much_as_the_fixed_choices() -> None:
    said = predict_held_out(TABLE, features_of(TABLE), folds.by_prompt(TABLE, 1), Means)
    found = judge(TABLE, said, seed=0)
    assert found.choice
    assert found.choice.aiq[0] == pytest.approx(found.choice.aiq[1], abs=0.01)
    assert found.choice.saving.value == 0
    assert found.choice.gap_recovered == pytest.approx(0.5, abs=0.1)


def test_without_costs_the_better_pool_counts_one() -> None:
    free = Outcomes(TABLE.prompts, TABLE.pools, TABLE.quality, domain=TABLE.domain)
    found = verdict(free)
    assert found.choice
    assert not found.choice.priced
    assert found.choice.cost_usd.tolist() == [0, 1]
    # Then cost is the share that goes to the large pool: all but chat.
    assert found.choice.saving.value == pytest.approx(0.25, abs=0.02)


def test_rows_that_lack_a_quality_count_for_calibration_only() -> None:
    quality = np.array(TABLE.quality)
    quality[1000:, 0] = np.nan
    found = verdict(replace(TABLE, quality=quality))
    assert found.choice
    assert found.choice.rows.tolist() == list(range(1000))
    assert [int(pool.count.sum()) for pool in found.reliability] == [1000, 4000]


def test_one_pool_in_each_row_leaves_no_choice() -> None:
    quality = np.array(TABLE.quality)
    quality[::2, 0] = np.nan
    quality[1::2, 1] = np.nan
    assert verdict(replace(TABLE, quality=quality)).choice is None


def test_lengths_beside_always_the_mean() -> None:
    found = verdict(TABLE).lengths[0]
    assert found
    tokens = TABLE.output_tokens[:, 0]
    assert found.answers == 4000
    assert found.error_tokens == pytest.approx(np.abs(tokens - 40).mean())
    assert found.mean_error_tokens == pytest.approx(np.abs(tokens - tokens.mean()).mean())
    assert verdict(replace(TABLE, output_tokens=np.empty((0, 0)))).lengths == (None, None)


def test_the_same_seed_draws_the_same_intervals() -> None:
    one, other = verdict(TABLE).choice, verdict(TABLE).choice
    assert one
    assert other
    assert (one.saving, one.gain) == (other.saving, other.gain)


def test_low_trust_is_counted() -> None:
    assert verdict(TABLE, Knowing(trust=0.4)).low_trust == 1


def test_a_subject_where_choosing_loses_is_found() -> None:
    """The outcomes of chat turn round after the predictor was made: it goes on sending chat to the small pool."""
    quality = np.array(TABLE.quality)
    chat = np.array(TABLE.domain) == "chat"
    quality[chat, 0] = 0.0
    table = replace(TABLE, quality=quality)
    features = features_of(table)
    said = predict_all(Knowing(), table, features)
    choice = judge(table, said, seed=0).choice
    assert choice
    # At the setting that saves most of the cost; here the one that takes small for chat.
    cheap = replace(choice, chosen=np.where(chat, 0, 1))
    found = {each.name: each for each in slices_of(table, features, said, cheap)}
    assert found["domain: chat"].worse
    assert found["domain: chat"].misjudged
    assert found["domain: chat"].difference == pytest.approx(-TABLE.quality[chat, 1].mean())
    assert found["domain: chat"].prompts == 1000
    assert not found["domain: history"].distrusted
    assert next(iter(found)) == "domain: chat"


def test_no_fold_knows_its_prompts() -> None:
    """`Means` fails when it is asked for a prompt that it was fitted on; twins of a prompt stay together."""
    twins = TABLE.rows([*range(400), *range(200)])
    at = folds.by_prompt(twins, seed=5)
    assert (at[:200] == at[400:]).all()
    assert sorted(set(at.tolist())) == [0, 1, 2, 3, 4]
    assert not np.isnan(predict_held_out(twins, features_of(twins), at, Means).quality).any()
    by_domain = folds.by_domain(twins, seed=5)
    assert by_domain is not None
    assert {name: len({int(by_domain[row]) for row in range(600) if twins.domain and twins.domain[row] == name})
            for name in CHANCES} == dict.fromkeys(CHANCES, 1)  # fmt: skip
    predict_held_out(twins, features_of(twins), by_domain, Means)


def test_rows_without_a_domain_only_train() -> None:
    named = replace(TABLE.rows(range(100)), domain=tuple(("a", "b", "c", "")[row % 4] for row in range(100)))
    at = folds.by_domain(named, seed=0)
    assert at is not None
    assert (at[3::4] == -1).all()
    assert (at[0::4] >= 0).all()


def test_two_domains_are_too_few() -> None:
    assert folds.by_domain(replace(TABLE, domain=("a", "b") * 2000), seed=0) is None
    assert folds.by_domain(replace(TABLE, domain=None), seed=0) is None
