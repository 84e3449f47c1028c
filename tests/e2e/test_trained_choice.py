"""A new user's path: outcomes → `headgate train` → `headgate up` uses it → `headgate quote` shows the difference."""

import csv
import json
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.cli.stack_process import LIMIT_S, StackProcess, environment, headgate, pool, running

CODE = ("write a python function that sorts a list", "why does this sql query fail", "debug the rust borrow checker error")
TALK = ("say hello to my neighbour", "what is the weather like in spring", "tell me a short story of a cat")


def outcomes(file: Path, rows: int = 500) -> None:
    """Invented: the small pool answers small talk and fails at code; the large one can do both."""
    rng = Random(5)
    with file.open("w", newline="") as out:
        sheet = csv.writer(out)
        sheet.writerow(["prompt", "quality:small", "quality:large", "output_tokens:small", "output_tokens:large"])
        for number in range(rows):
            code = number % 2 == 0
            prompt = f"{rng.choice(CODE if code else TALK)} number {rng.randrange(10_000)}"
            small = rng.random() < (0.1 if code else 0.95)
            sheet.writerow([prompt, int(small), int(rng.random() < 0.95), rng.randrange(40, 60), rng.randrange(200, 260)])


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        headgate(*arguments), cwd=folder, env=environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def pools() -> list[dict[str, Any]]:
    prices = {"small": 0.1, "large": 1.0}
    return [
        pool(name, tier=name, prices={"input_usd_per_mtok": price, "output_usd_per_mtok": 4 * price})
        for name, price in prices.items()
    ]


def quoted(stack: StackProcess, prompt: str) -> dict[str, Any]:
    told = run(stack.folder, "quote", prompt, "--json", "--address", stack.ready()["grpc"])
    assert told.returncode == 0, told.stderr
    option: dict[str, Any] = json.loads(told.stdout)["options"][0]
    return option


@pytest.mark.slow
def test_from_outcomes_to_another_choice(tmp_path: Path) -> None:
    outcomes(tmp_path / "outcomes.csv")
    trained = run(tmp_path, "train", "outcomes.csv", "-o", "quality.artefact", "--report", "report.html")
    assert trained.returncode == 0, trained.stderr
    assert "trained on 500 rows, 2 pools" in trained.stdout
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    hard, easy = f"{CODE[0]} number 123", f"{TALK[1]} number 456"
    with running(tmp_path, *pools()) as stack:
        before = {prompt: quoted(stack, prompt) for prompt in (hard, easy)}
    (tmp_path / "up.ready").unlink()
    artefact = str(tmp_path / "quality.artefact")
    with running(tmp_path, *pools(), router={"predictor": {"path": artefact}}) as stack:
        after = {prompt: quoted(stack, prompt) for prompt in (hard, easy)}
        answer = stack.chat(messages=[{"role": "user", "content": hard}])
    assert all("quality" not in option or option["quality"] is None for option in before.values())
    assert (after[hard]["pool"], after[easy]["pool"]) == ("large", "small")
    assert after[hard]["quality"] > 0.7
    assert after[hard]["output_tokens"] == pytest.approx(230, abs=30)
    assert answer["headgate"]["pool"] == "large"
    assert "predicted" in answer["headgate"]["reason"]
    (tmp_path / "prompts.jsonl").write_text(json.dumps({"prompt": hard}) + "\n")
    predicted = run(tmp_path, "predict", "quality.artefact", "prompts.jsonl")
    said = json.loads(predicted.stdout)["pools"]["large"]["quality"]
    assert after[hard]["quality"] == pytest.approx(said, abs=1e-6)
