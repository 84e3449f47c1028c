"""What a caller says of one of its answers: a frozen value that every front decodes to."""

from dataclasses import dataclass

# Labels that stand for a score where none is given. Any other label is counted and nothing is learnt from it.
LABEL_SCORES = {"good": 1.0, "correct": 1.0, "up": 1.0, "bad": 0.0, "wrong": 0.0, "down": 0.0}


@dataclass(frozen=True, slots=True)
class Verdict:
    """At least one of score, label and preference.

    score         0 (useless) to 1 (as good as can be); None where it is not given
    better_than   id of another request of the same tenant, whose answer this one's is better than; "" for no preference
    """

    request_id: str
    score: float | None = None
    label: str = ""
    better_than: str = ""

    @property
    def worth(self) -> float | None:
        """The score, or what the label stands for; None where neither tells."""
        return LABEL_SCORES.get(self.label.lower()) if self.score is None else self.score
