"""Invented outcomes: which pool answers well follows from the prompt's words, with some noise."""

import random

from training.outcomes.table import Outcomes

SUBJECTS = {
    "maths": ("prove the theorem on", "integrate the function of", "solve the equation with"),
    "chat": ("say hello to", "wish a good day to", "introduce yourself to"),
    "code": ("write a python function for", "debug the class of", "refactor the loop over"),
    "history": ("who ruled in the year of", "describe the war over", "when was the treaty of"),
}
# Chance that (small, large) answers well.
CHANCES = {"maths": (0.1, 0.9), "chat": (0.97, 0.9), "code": (0.3, 0.85), "history": (0.6, 0.8)}
THINGS = ("matrices", "neighbours", "parsers", "kings", "graphs", "guests", "buffers", "rivers", "primes", "friends")


def rows(count: int, seed: int = 0) -> list[dict[str, object]]:
    """Wide rows with prompt, domain, quality, cost_usd and output_tokens of the pools small and large."""
    chance = random.Random(seed)
    made: list[dict[str, object]] = []
    for number in range(count):
        domain = list(SUBJECTS)[number % 4]
        opening = chance.choice(SUBJECTS[domain])
        row: dict[str, object] = {"prompt": f"Please {opening} {chance.choice(THINGS)} number {number}", "domain": domain}
        for pool, likely, cost in zip(("small", "large"), CHANCES[domain], (0.001, 0.01), strict=True):
            row[f"quality:{pool}"] = int(chance.random() < likely)
            row[f"cost_usd:{pool}"] = cost
            row[f"output_tokens:{pool}"] = chance.randint(20, 60) * (4 if domain == "code" else 1)
        made.append(row)
    return made


def csv_text(made: list[dict[str, object]], *, separator: str = ",", end: str = "\n") -> str:
    """As a CSV file; every cell quoted."""
    heading = list(made[0])
    lines = [heading, *([str(row[name]) for name in heading] for row in made)]
    return "".join(separator.join('"' + cell.replace('"', '""') + '"' for cell in line) + end for line in lines)


def outcomes(count: int, seed: int = 0) -> Outcomes:
    """The same as a table."""
    import numpy as np

    made = rows(count, seed)
    quality, cost, tokens = (
        np.array([[float(str(row[f"{kind}:{pool}"])) for pool in ("small", "large")] for row in made])
        for kind in ("quality", "cost_usd", "output_tokens")
    )
    prompts = tuple(str(row["prompt"]) for row in made)
    return Outcomes(prompts, ("small", "large"), quality, cost, tokens, tuple(str(row["domain"]) for row in made))
