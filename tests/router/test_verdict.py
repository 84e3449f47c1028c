import pytest

from router.verdict import Verdict


@pytest.mark.parametrize(
    ("verdict", "worth"),
    [
        (Verdict("r", 0.25), 0.25),
        (Verdict("r", 0.0, "good"), 0.0),
        *((Verdict("r", label=label), 1.0) for label in ("good", "Correct", "UP")),
        *((Verdict("r", label=label), 0.0) for label in ("bad", "Wrong", "DOWN")),
        (Verdict("r", label="funny"), None),
        (Verdict("r", better_than="s"), None),
    ],
)
def test_a_score_counts_before_its_label_and_most_labels_stand_for_none(verdict: Verdict, worth: float | None) -> None:
    assert verdict.worth == worth
