"""`headgate train`, as a user meets it: the real command, good outcomes and bad ones."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.__main__ import main
from router.choosing.quality.artefact import read
from tests.training.invented import csv_text, rows

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., tuple[int, str, str]]


def command(*arguments: str | Path, cwd: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own."""
    paths = os.pathsep.join((str(ROOT), str(ROOT / "proto")))
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "cli", *map(str, arguments)]
    return subprocess.run(words, cwd=cwd, env=environment, input=stdin, capture_output=True, check=False, timeout=250)


@pytest.fixture
def train(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command `train` in this process: status, standard output, standard error."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["headgate", "train", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[bytes]]:
    """A folder with outcomes.csv, and what training on it in the real command made of it: artefact and report.html."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "outcomes.csv").write_text(csv_text(rows(600)))
    return folder, command("train", "outcomes.csv", "-o", "artefact", "--report", "report.html", cwd=folder)


def test_a_good_file(trained: tuple[Path, subprocess.CompletedProcess[bytes]]) -> None:
    folder, done = trained
    out, progress = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 0, progress
    assert "Traceback" not in progress
    assert "outcomes.csv: 600 rows" in progress
    assert "fitting 600 rows, 2 pools" in progress
    assert "unseen domains" in out
    size_kb = (folder / "artefact").stat().st_size / 1000
    last = out.splitlines()[-1]
    assert last.startswith("trained on 600 rows, 2 pools; against always ")
    assert last.endswith(f"; wrote artefact ({size_kb:,.0f} kB)")
    for part in (" points (", "ECE 0.", "trust below 0.5 on "):
        assert part in last
    assert sorted(os.listdir(folder)) == ["artefact", "outcomes.csv", "report.html"]


def test_the_artefact_is_the_routers(trained: tuple[Path, subprocess.CompletedProcess[bytes]]) -> None:
    folder, _ = trained
    model = read(folder / "artefact")
    assert model.pools == ("small", "large")
    report = (folder / "report.html").read_text()
    assert f"Predictor {model.version}" in report
    assert not re.search(r"https?:|<script", report)


def test_the_same_outcomes_and_seed_give_the_same_file(trained: tuple[Path, subprocess.CompletedProcess[bytes]]) -> None:
    folder, _ = trained
    done = command("train", "outcomes.csv", "-o", "again", "--eval", "split", cwd=folder)
    assert done.returncode == 0, done.stderr.decode()
    assert (folder / "again").read_bytes() == (folder / "artefact").read_bytes()
    (folder / "again").unlink()


def test_other_outcomes_test_the_artefact(tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(800, seed=9)))
    (tmp_path / "outcomes.csv").write_text(csv_text(rows(300)).replace("domain", "subject", 1))  # no domains: quicker
    done = command("train", "outcomes.csv", "-o", "a", "--eval", "other.jsonl", "--report", "r.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert "testing on " in done.stderr.decode()
    assert "Tested on other.jsonl." in (tmp_path / "r.html").read_text()


def test_stopped_by_the_user_leaves_no_half_file(tmp_path: Path) -> None:
    (tmp_path / "outcomes.csv").write_text(csv_text(rows(4000)))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "proto"))), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "cli", "train", "outcomes.csv", "-o", "artefact", "--report", "report.html"]
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stderr
        said = b""
        for line in process.stderr:
            said += line
            if b"fitting" in line:
                time.sleep(0.3)  # into the fit; wherever the signal comes, the outcome is the same
                process.send_signal(signal.SIGINT)
                break
        said += process.stderr.read()
        process.wait(60)
    assert process.returncode == 130, said.decode()
    assert b"stopped; no half file is left" in said
    assert b"Traceback" not in said
    assert os.listdir(tmp_path) == ["outcomes.csv"]


def test_500_rows_that_are_wrong_in_three_ways(tmp_path: Path) -> None:
    """A missing column; mixed types; one class only. The real command, one after the other."""
    made = rows(500)
    missing = [{("question" if key == "prompt" else key): cell for key, cell in row.items()} for row in made]
    (tmp_path / "missing.csv").write_text(csv_text(missing))
    mixed = [row | ({"quality:small": "good"} if at in (7, 70, 300, 301) else {}) for at, row in enumerate(made)]
    (tmp_path / "mixed.csv").write_text(csv_text(mixed))
    (tmp_path / "one.csv").write_text(csv_text([row | {"quality:small": 1, "quality:large": "True"} for row in made]))
    for name, message in (
        ("missing", 'missing.csv: no column "prompt"; there are: "question", "domain", "quality:small"'),
        ("missing", "add --prompt-column question"),
        ("mixed", 'mixed.csv: column "quality:small", rows 9, 72, 302 and 1 more: is no number: first "good"'),
        ("one", 'every answer of a pool has the same quality ("small" 1, "large" 1)'),
    ):
        done = command("train", f"{name}.csv", "-o", "artefact", cwd=tmp_path)
        said = done.stderr.decode()
        assert done.returncode == 2, said
        assert message in said
        assert "Traceback" not in said
        assert not (tmp_path / "artefact").exists()


def test_one_class_for_one_pool_is_learned_around(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text(csv_text([row | {"quality:large": 1, "domain": ""} for row in rows(500)]))
    done = command("train", "o.csv", "-o", "artefact", "--eval", "split", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert 'warning: pool "large": every answer has the same quality' in done.stderr.decode()
    done = command("predict", "artefact", "-", cwd=tmp_path, stdin=b'"Please solve the equation with kings"\n')
    assert json.loads(done.stdout)["pools"]["large"]["quality"] > 0.99


def test_foreign_columns(tmp_path: Path) -> None:
    made = [
        {"question": row["prompt"], "task": row["domain"], "s_ok": row["quality:small"], "l_ok": row["quality:large"]}
        for row in rows(320)
    ]
    (tmp_path / "o.csv").write_text(csv_text(made))
    done = command("train", "o.csv", "-o", "a", "--prompt-column", "question", "--domain-column", "task", "--quality", "*=*_ok",
                   "--pool", "tiny=s", "--cost", "s=0.001", "--cost", "l=0.01", "--eval", "split", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert read(tmp_path / "a").pools == ("tiny", "l")
    said = done.stdout.decode()
    assert re.search(r"tiny +320 +0\.\d+ +0\.001 ", said)
    assert re.search(r"l +320 +0\.\d+ +0\.01 ", said)


def test_long_form_with_a_scale(tmp_path: Path) -> None:
    made = [
        {"prompt": row["prompt"], "pool": pool, "score": 1 + 9 * float(str(row[f"quality:{pool}"]))}
        for row in rows(200)
        for pool in ("small", "large")
    ]
    (tmp_path / "o.csv").write_text(csv_text(made))
    done = command("train", "o.csv", "-o", "a", "--quality", "score", "--scale", "1:10", "--eval", "split", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert read(tmp_path / "a").pools == ("small", "large")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.csv", "-o", "a"), "none.csv: no such file"),
        ((".", "-o", "a"), "is a directory; name the files in it"),
        (("o.csv", "-o", "no/such/folder/a"), "a: can't be written: No such file or directory"),
        (("o.csv", "-o", "."), "is a directory; name a file in it"),
        (("o.csv", "-o", "/dev/null"), "/dev/null: is no regular file"),
        (("o.csv", "-o", "o.csv"), "o.csv: is one of the files of outcomes"),
        (("o.csv", "-o", "a", "--report", "a"), "the report and the artefact need names of their own"),
        (("o.csv", "-o", "a", "--report", "no/r.html"), "r.html: can't be written: No such file or directory"),
        (("o.csv", "-o", "a", "--scale", "10"), "--scale 10: LOW:HIGH expected, such as 1:10"),
        (("o.csv", "-o", "a", "--scale", "10:1"), "--scale 10:1: LOW:HIGH expected"),
        (("o.csv", "-o", "a", "--pool", "x"), "--pool x: NAME=… expected"),
        (("o.csv", "-o", "a", "--cost", "a=1", "--cost", "a=2"), "--cost: a is there twice"),
        (("o.csv", "-o", "a", "--quality", "one", "--quality", "two"), "--quality two: NAME=COLUMN expected"),
        (("o.csv", "-o", "a", "--eval", "none.csv"), "none.csv: no such file"),
        (("o.csv", "-o", "a", "--eval", "o.csv"), "every prompt in it is one of the training prompts"),
        (("o.csv", "-o", "a", "--eval", "p.csv"), "p.csv: its pools are other; trained on are small, large"),
        (("few.csv", "-o", "a"), "only 49 different prompts: at least 50 are needed"),
        (("o.csv", "-o", "a", "--seed", "-1"), "Invalid value for '--seed'"),
        (("o.csv",), "Missing option"),
    ],
)  # fmt: skip
def test_bad_orders(
    tmp_path: Path, train: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "o.csv").write_text(csv_text(rows(60)))
    (tmp_path / "few.csv").write_text(csv_text(rows(49)))
    (tmp_path / "p.csv").write_text("prompt,quality:other\nx,1\n")
    status, out, said = train(*arguments)
    assert status == 2
    assert message in re.sub(r"[\s│]+", " ", said)
    assert out == ""
    assert sorted(os.listdir(tmp_path)) == ["few.csv", "o.csv", "p.csv"]


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path: Path, train: Run) -> None:
    (tmp_path / "o.csv").write_text("prompt,\x1b[31mred\x1b[0m\nx,1\n")
    status, _, said = train(tmp_path / "o.csv", "-o", tmp_path / "a")
    assert status == 2
    assert "\x1b" not in said


def test_without_the_libraries_it_says_what_to_install(train: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "sklearn" else object())
    status, _, said = train("o.csv", "-o", "a")
    assert status == 1
    assert "training needs sklearn\n  install them: pip install 'headgate[train]'" in said
