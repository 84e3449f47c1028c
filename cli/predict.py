"""`headgate predict`: what a trained predictor says of prompts, a JSON line each, with the very numbers that the router uses.

Streams: one line is in memory at a time, so a file may have any length.
"""

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import orjson

from cli.errors import CommandError
from cli.printable import printable
from cli.whole_file import whole_file
from router.choosing.features import Features, extract
from router.choosing.quality.artefact import ArtefactRefused, read
from router.choosing.quality.prediction import Predictor
from router.request import ChatPrompt, Sampling
from training.outcomes.faults import OutcomesRefused
from training.outcomes.opening import opened
from training.outcomes.table import read_features

STDIN = Path("-")
LONGEST_LINE_BYTES = 64 * 1024 * 1024
_TOLD = 20


class BadLine(ValueError):
    """What is wrong with one line; never shows the prompt."""


def predict(artefact: Path, prompts: Path, output: Path | None) -> None:
    """The command. Raises CommandError: at once where nothing can be done, at the end where lines were bad."""
    try:
        model = read(artefact)
    except ArtefactRefused as refused:
        raise CommandError(str(refused), exit_code=2) from None
    if output and prompts != STDIN and output.exists() and prompts.exists() and output.samefile(prompts):
        raise CommandError(f"{output}: is the file of prompts itself", exit_code=2)
    name = "standard input" if prompts == STDIN else str(prompts)
    try:
        with _lines(prompts) as lines, _written(output) as sink:
            count, bad = _run(model, lines, sink, name)
    except OutcomesRefused as refused:
        raise CommandError(str(refused), exit_code=2) from None
    except KeyboardInterrupt:
        raise CommandError("stopped", exit_code=130) from None
    if bad:
        more = f"; the first {_TOLD} are named above" if bad > _TOLD else ""
        raise CommandError(f"{name}: {bad:,} of {count:,} lines could not be read{more}", exit_code=2)
    if not count:
        raise CommandError(f"{name}: no prompts in it", exit_code=2)


def _run(model: Predictor, lines: Iterator[tuple[int, bytes]], sink: IO[bytes], name: str) -> tuple[int, int]:
    """Lines read, and how many of them were bad."""
    count = bad = 0
    for number, line in lines:
        count += 1
        answer, fault = answer_of(model, line)
        if fault:
            bad += 1
            if bad <= _TOLD:
                print(printable(f"{name}: line {number}: {fault}"), file=sys.stderr)
        sink.write(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE))
    sink.flush()
    return count, bad


def answer_of(model: Predictor, line: bytes) -> tuple[dict[str, Any], str]:
    """The answer to one line, and what is wrong with the line; a bad one gets an answer with `error`, to keep the order."""
    answer: dict[str, Any] = {}
    try:
        asked = _asked(line)
        if isinstance(asked, dict) and "id" in asked:
            if isinstance(asked["id"], dict | list):
                raise BadLine('"id" is neither text nor a number')
            answer["id"] = asked["id"]
        said = model.predict(features_of(asked))
    except BadLine as bad:
        return answer | {"error": str(bad)}, str(bad)
    figures = zip(model.pools, said.quality.tolist(), said.uncertainty.tolist(), said.output_tokens.tolist(), strict=True)
    answer["pools"] = {
        pool: {"quality": quality, "uncertainty": uncertainty, "output_tokens": tokens}
        for pool, quality, uncertainty, tokens in figures
    }
    return answer | {"trust": float(said.trust), "version": model.version}, ""


def features_of(asked: object) -> Features:
    """Of a bare string, of an object with `prompt`, or with `messages` and perhaps `tools`. Raises BadLine."""
    if isinstance(asked, str):
        return read_features(asked)
    if isinstance(asked, list):
        return _conversation(asked, None)
    if not isinstance(asked, dict):
        raise BadLine("is neither a string nor an object")
    if "messages" in asked:
        return _conversation(asked["messages"], asked.get("tools"))
    if "prompt" not in asked:
        raise BadLine('has neither "prompt" nor "messages"')
    prompt = asked["prompt"]
    if isinstance(prompt, list):
        return _conversation(prompt, asked.get("tools"))
    if not isinstance(prompt, str):
        raise BadLine('"prompt" is neither text nor a list of messages')
    return read_features(prompt)


def _conversation(messages: object, tools: object) -> Features:
    if not isinstance(messages, list) or not messages:
        raise BadLine('"messages" is not a list of messages')
    if not all(isinstance(message, dict) and isinstance(message.get("role"), str) for message in messages):
        raise BadLine('"messages": each needs a "role"')
    if tools is not None and not isinstance(tools, list):
        raise BadLine('"tools" is not a list')
    try:
        prompt = ChatPrompt(orjson.dumps(messages), orjson.dumps(tools) if tools else b"")
    except orjson.JSONEncodeError:
        raise BadLine('"messages" or "tools" are nested too deeply') from None
    return extract(prompt, Sampling())


def _asked(line: bytes) -> object:
    if len(line) >= LONGEST_LINE_BYTES:
        raise BadLine(f"is longer than {LONGEST_LINE_BYTES >> 20} MiB")
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as fault:
        raise BadLine(f"is not JSON: {fault.msg}") from None


@contextmanager
def _lines(prompts: Path) -> Iterator[Iterator[tuple[int, bytes]]]:
    """Numbered lines that are not blank; a line that is too long comes cut."""
    if prompts == STDIN:
        stream = cast(Any, sys.stdin.buffer)
        if stream.peek(2)[:2] == b"\x1f\x8b":
            with gzip.open(stream) as unpacked:
                yield _numbered(cast(IO[bytes], unpacked))
        else:
            yield _numbered(stream)
        return
    with opened(prompts) as stream:
        yield _numbered(stream)


def _numbered(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(iter(lambda: stream.readline(LONGEST_LINE_BYTES), b""), 1):
        rest = line
        while len(rest) == LONGEST_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(LONGEST_LINE_BYTES)
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if text.strip():
            yield number, text


@contextmanager
def _written(output: Path | None) -> Iterator[IO[bytes]]:
    """Standard output, or a file that is there only once it is whole."""
    if output is None:
        try:
            yield sys.stdout.buffer
        except BrokenPipeError:
            raise
        except OSError as fault:
            raise CommandError(f"standard output: {fault.strerror}") from None
        return
    with whole_file(output) as file:
        yield file
