"""Invented outcomes whose probabilities are known: three kinds of questions, two or more pools."""

import numpy as np

from training.outcomes.table import Floats, Outcomes

SUMS = ("add", "subtract", "multiply", "divide", "square", "halve")
LANDS = ("France", "Peru", "Norway", "Kenya", "Japan", "Chile", "Egypt", "Nepal")
CODES = ("list", "string", "tuple", "dictionary", "number", "file")
KINDS = ("sums", "lands", "code")
# Of each kind, how often a weak and a strong pool are right.
LENGTHS = np.array([40.0, 160.0, 80.0])
CHANCES = np.array([[0.35, 0.9], [0.85, 0.8], [0.5, 0.6]])


def prompt(kind: int, rng: np.random.Generator) -> str:
    if kind == 0:
        return (
            f"Please {rng.choice(SUMS)} the numbers {rng.integers(1, 9999)} and {rng.integers(1, 9999)}, then tell the result."
        )
    if kind == 1:
        year = rng.integers(1800, 2000)
        return f"Which city is the capital of {rng.choice(LANDS)}, and on which river did it lie in the year {year}?"
    count = rng.integers(2, 400)
    return f"Write a function that reverses a {rng.choice(CODES)} of {count} elements.\ndef reverse(x):\n    return x"


def outcomes(rows: int, seed: int = 0, domains: bool = True) -> tuple[Outcomes, Floats]:
    """The table, and the true probabilities, float64[rows, 2]."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 3, rows)
    chances = CHANCES[kinds]
    quality = (rng.random((rows, 2)) < chances).astype(np.float64)
    prompts = tuple(prompt(int(kind), rng) for kind in kinds)
    lengths = np.exp(rng.normal(np.log(LENGTHS)[kinds, None], 0.2, (rows, 2))) * np.array([1.0, 2.0])
    domain = tuple(KINDS[kind] for kind in kinds) if domains else None
    return Outcomes(prompts, ("weak", "strong"), quality, output_tokens=lengths, domain=domain), chances
