"""What a predictor says of one prompt, and what every predictor offers. Values only."""

from dataclasses import dataclass
from typing import Protocol

from router.choosing.features import Features
from router.snapshot import Floats


@dataclass(frozen=True, slots=True)
class Prediction:
    """Of one prompt, an entry per pool of the predictor, in its order.

    quality        probability that the answer is good, calibrated; drawn towards `Predictor.prior` as trust sinks
    uncertainty    standard deviation of that probability; grows away from the training data
    output_tokens  expected length of the answer; 0 where the outcomes did not tell
    trust          1 within what was trained on, 0 far from it
    domain         number of the cluster of prompts that this one belongs to
    """

    quality: Floats
    uncertainty: Floats
    output_tokens: Floats
    trust: float = 1.0
    domain: int = 0


class Predictor(Protocol):
    """Any model of quality. Synchronous and pure: it is called on every request with `model: auto`."""

    @property
    def version(self) -> str: ...
    @property
    def pools(self) -> tuple[str, ...]: ...
    @property
    def prior(self) -> Floats:
        """Mean quality of each pool over all prompts."""
        ...

    @property
    def domains(self) -> int:
        """Number of clusters; `Prediction.domain` is below it."""
        ...

    def predict(self, features: Features) -> Prediction: ...
