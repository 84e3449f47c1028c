"""`headgate predict`: the router's own numbers, a line each, in order, whatever the lines hold."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.__main__ import main
from cli.errors import CommandError
from cli.predict import _numbered, answer_of, features_of, predict
from router.choosing.features import extract
from router.choosing.quality.artefact import read, write
from router.choosing.quality.model import QualityModel
from router.request import ChatPrompt, Sampling, TextPrompt
from tests.cli.test_train import ROOT, command
from tests.training.invented import outcomes, rows
from training.fit.fitting import fit

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Please solve the equation with kings"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artefact") / "artefact"
    fitted = fit(outcomes(300), 0)
    write(path, ("small", "large"), fitted.parts, fitted.about)
    return path


@pytest.fixture(scope="module")
def model(artefact: Path) -> QualityModel:
    return read(artefact)


def test_bit_by_bit_what_the_router_computes(artefact: Path, model: QualityModel, tmp_path: Path) -> None:
    """The real command against the router's own objects."""
    prompts = [str(row["prompt"]) for row in rows(40, seed=4)] + [
        "",
        "ein Satz",
        "日本語の文",
        "def f(): pass",
        "x" * 5000,
        "[1, 2]",
    ]
    asked = [{"id": at, "prompt": prompt} for at, prompt in enumerate(prompts)] + [
        {"id": "m", "messages": MESSAGES, "tools": TOOLS}
    ]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(each) + "\n" for each in asked))
    done = command("predict", artefact, "prompts.jsonl", "-o", "out.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [answer["id"] for answer in answers] == [each["id"] for each in asked]
    seen = [extract(TextPrompt(prompt), Sampling()) for prompt in prompts]
    seen.append(extract(ChatPrompt(json.dumps(MESSAGES).encode(), json.dumps(TOOLS).encode()), Sampling()))
    for answer, features in zip(answers, seen, strict=True):
        said = model.predict(features)
        assert list(answer["pools"]) == ["small", "large"]
        for name in ("quality", "uncertainty", "output_tokens"):
            assert [pool[name] for pool in answer["pools"].values()] == getattr(said, name).tolist()
        assert answer["trust"] == said.trust
        assert answer["version"] == model.version


def test_three_ways_to_ask_are_one() -> None:
    text = "Please solve the equation with kings"
    bare = features_of(text)
    assert features_of({"prompt": text}) == bare
    assert features_of({"messages": [{"role": "user", "content": text}]}) == bare
    assert features_of([{"role": "user", "content": text}]) == bare
    assert features_of({"prompt": json.dumps(MESSAGES)}) == features_of({"messages": MESSAGES})
    assert features_of({"messages": MESSAGES, "tools": TOOLS}).tools


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"{", "is not JSON: "),
        (b"\xff", "is not JSON: "),
        (b"5", "is neither a string nor an object"),
        (b"{}", 'has neither "prompt" nor "messages"'),
        (b'{"prompt": 5}', '"prompt" is neither text nor a list of messages'),
        (b'{"messages": []}', '"messages" is not a list of messages'),
        (b'{"messages": "hi"}', '"messages" is not a list of messages'),
        (b'{"messages": [{"content": "hi"}]}', '"messages": each needs a "role"'),
        (b'{"messages": [{"role": "user"}], "tools": {}}', '"tools" is not a list'),
        (b'{"prompt": "x", "id": {}}', '"id" is neither text nor a number'),
        (b'{"messages": [{"role": "user", "content": ' + b"[" * 500 + b"]" * 500 + b"}]}", "nested too deeply"),
    ],
)
def test_bad_lines(model: QualityModel, line: bytes, fault: str) -> None:
    answer, said = answer_of(model, line)
    assert fault in said
    assert answer == {"error": said}


def test_a_bad_line_keeps_its_place_and_its_id(artefact: Path, tmp_path: Path) -> None:
    lines = b'"one"\n\n{"id": 7, "prompt": null}\n  \n"secret prompt\n{"id": "last", "prompt": "x"}'
    done = command("predict", artefact, "-", cwd=tmp_path, stdin=lines)
    assert done.returncode == 2
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer.get("id") for answer in answers] == [None, 7, None, "last"]
    assert ["error" in answer for answer in answers] == [False, True, True, False]
    said = done.stderr.decode()
    assert 'standard input: line 3: "prompt" is neither text nor a list of messages' in said
    assert "standard input: line 5: is not JSON" in said
    assert "standard input: 2 of 4 lines could not be read" in said
    assert "secret" not in said
    assert "Traceback" not in said


def test_compressed_in_and_out(artefact: Path, tmp_path: Path) -> None:
    text = gzip.compress(b'\xef\xbb\xbf"one"\n"two"\n')
    (tmp_path / "in.jsonl.gz").write_bytes(text)
    predict(artefact, tmp_path / "in.jsonl.gz", tmp_path / "out.jsonl.gz")
    written = gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes())
    assert len(written.splitlines()) == 2
    done = command("predict", artefact, "-", cwd=tmp_path, stdin=text)
    assert done.stdout == written


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none", "in.jsonl"), "none: No such file"),
        (("in.jsonl", "in.jsonl"), "in.jsonl: not an artefact"),
        (("ARTEFACT", "none.jsonl"), "none.jsonl: no such file"),
        (("ARTEFACT", "."), "is a directory"),
        (("ARTEFACT", "empty.jsonl"), "empty.jsonl: no prompts in it"),
        (("ARTEFACT", "bad.jsonl.gz"), "bad.jsonl.gz: is named .gz, but not compressed by gzip"),
        (("ARTEFACT", "cut.jsonl.gz"), "cut.jsonl.gz: the compressed data is damaged or cut short"),
        (("ARTEFACT", "in.jsonl", "-o", "in.jsonl"), "in.jsonl: is the file of prompts itself"),
        (("ARTEFACT", "in.jsonl", "-o", "no/out"), "out: can't be written: No such file"),
        (("ARTEFACT", "in.jsonl", "-o", "/dev/null"), "/dev/null: is no regular file"),
    ],
)
def test_what_cannot_be_done(
    artefact: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {
        "in.jsonl": b'"x"\n',
        "empty.jsonl": b"",
        "bad.jsonl.gz": b'"x"\n',
        "cut.jsonl.gz": gzip.compress(b'"x"\n' * 99)[:-15],
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    words = [str(artefact) if word == "ARTEFACT" else word for word in arguments]
    monkeypatch.setattr("sys.argv", ["headgate", "predict", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert sorted(os.listdir(tmp_path)) == sorted(files)


def test_a_line_that_is_too_long_is_one_bad_line(artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.predict.LONGEST_LINE_BYTES", 100)
    (tmp_path / "in.jsonl").write_bytes(b'"one"\n"' + b"x" * 950 + b'"\n"three"\n')
    with pytest.raises(CommandError, match="1 of 3 lines could not be read"):
        predict(artefact, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    kinds = ["error" in json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert kinds == [False, True, False]


def test_memory_does_not_grow_with_the_file(model: QualityModel) -> None:
    """Lines come one at a time: a source that would never end is read no further than asked."""

    class Endless:
        taken = 0

        def readline(self, most: int) -> bytes:
            Endless.taken += 1
            return b'"again"\n'

    lines = _numbered(Endless())  # type: ignore[arg-type]
    for _ in range(5):
        answer_of(model, next(lines)[1])
    assert Endless.taken == 5


def test_a_reader_that_has_seen_enough_ends_it_quietly(artefact: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'"again"\n' * 5000)
    paths = os.pathsep.join((str(ROOT), str(ROOT / "proto")))
    line = f"{sys.executable} -m cli predict {artefact} in.jsonl | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths},
                          capture_output=True, check=False, timeout=100)  # fmt: skip
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == b""
