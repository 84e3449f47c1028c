"""What the correction of a prediction may depend on: a short vector of one prompt, without its text. Pure.

Entries: a constant, the pool's predicted quality (filled in per pool), how far the prompt is from the training data, which
cluster of prompts it is of (16, later ones share), and a few flags of its form. None is beyond -1 to 1.
"""

from dataclasses import dataclass

import numpy as np

from router.choosing.features import Features
from router.choosing.quality.prediction import Prediction
from router.snapshot import Floats

DOMAINS = 16
CONSTANT, QUALITY, FAR, FIRST_DOMAIN = 0, 1, 2, 3
FIRST_FLAG = FIRST_DOMAIN + DOMAINS
WIDTH = FIRST_FLAG + 5
LONG_PROMPT_TOKENS = 1000

# Standard deviation of what each entry may add to a pool's quality, before anything was seen: an artefact is thought to be off
# by about 0.2 in service, part of it everywhere, part by domain, part by form.
PRIOR_STD = np.full(WIDTH, 0.05)
PRIOR_STD[CONSTANT] = 0.1
PRIOR_STD[QUALITY] = 0.2
PRIOR_STD[FAR] = 0.1
PRIOR_STD[FIRST_DOMAIN:FIRST_FLAG] = 0.1
PRIOR_VARIANCE: Floats = PRIOR_STD**2
PRIOR_VARIANCE.setflags(write=False)


@dataclass(frozen=True, slots=True)
class Context:
    """Of one prompt. `values` has WIDTH entries, that of the predicted quality 0; `variance` is what the prior makes of it."""

    values: Floats
    variance: float


def context(features: Features, prediction: Prediction) -> Context:
    """Never fails: a domain or trust out of range is drawn in."""
    values = np.zeros(WIDTH)
    values[CONSTANT] = 1.0
    values[FAR] = far = 1.0 - min(max(prediction.trust, 0.0), 1.0)
    values[FIRST_DOMAIN + prediction.domain % DOMAINS] = 1.0
    flags = (
        features.code,
        features.maths or features.multi_step,
        features.constrained or features.tools,
        features.prompt_tokens >= LONG_PROMPT_TOKENS,
        features.other_share >= 0.3,
    )
    values[FIRST_FLAG:] = flags
    variance = _ALWAYS + far * far * _FAR_VARIANCE + sum(flags) * _FLAG_VARIANCE
    return Context(values, variance)


def for_pool(values: Floats, predicted: float) -> Floats:
    """The vector of one pool: that of the prompt, with the pool's predicted quality, centred."""
    own = values.copy()
    own[QUALITY] = predicted - 0.5
    return own


_ALWAYS = float(PRIOR_VARIANCE[CONSTANT] + PRIOR_VARIANCE[FIRST_DOMAIN])
_FAR_VARIANCE = float(PRIOR_VARIANCE[FAR])
_FLAG_VARIANCE = float(PRIOR_VARIANCE[FIRST_FLAG])
