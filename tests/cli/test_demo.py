"""The demo: as a whole on simulated engines, without a terminal and with an empty home; and its parts."""

import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from cli.demo.answer import Answer
from cli.demo.command import report as demo_report
from cli.demo.prompts import PROMPTS
from cli.demo.stack import demo_stack
from cli.errors import CommandError
from cli.stack.config import simulated_pools
from tests.cli.stack_process import LIMIT_S, alive, below, environment, headgate, until
from workers.config import VllmEngine


def demo_environment(folder: Path, **more: str) -> dict[str, str]:
    """No model is fetched in this home, so the small pool is simulated too."""
    ports = {"HEADGATE_HTTP_PORT": "0", "HEADGATE_GRPC_PORT": "0"}
    return environment(HOME=str(folder), TERM="dumb", **ports, **more)


def test_once_answers_everything_and_says_what_is_simulated(tmp_path: Path) -> None:
    command = headgate("demo", "--once")
    done = subprocess.run(
        command,
        env=demo_environment(tmp_path),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    assert "pool small is SIMULATED too: " in done.stdout
    assert re.search(r"Real: +routing, prices", done.stdout)
    assert re.search(r"Simulated: +the engines of large and moe and small", done.stdout)
    for number, prompt in enumerate(PROMPTS, 1):
        assert f"{number}. {prompt.text[:20]}" in done.stdout
        assert re.search(rf"^{prompt.title} .* simulated ", done.stdout, re.MULTILINE)
    assert re.search(r"^dam, canal or pumps .* large ", done.stdout, re.MULTILINE)
    assert re.search(r"^merge two lists .* moe ", done.stdout, re.MULTILINE)
    cached = re.search(r"^handbook: summary .* \d+ \((\d+)\) ", done.stdout, re.MULTILINE)
    assert cached is not None
    assert int(cached[1]) > 100
    assert (tmp_path / ".cache" / "headgate" / "logs" / "demo.log").exists()


def test_it_stays_up_until_ctrl_c(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with said.open("wb") as out:
        process = subprocess.Popen(
            headgate("demo"), env=demo_environment(tmp_path), stdout=out, stderr=out, start_new_session=True
        )
    try:
        until(lambda: "Up until Ctrl-C." in said.read_text() or process.poll() is not None)
        started = below(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 0, said.read_text()
    finally:
        process.kill()
        process.wait()
    assert not any(map(alive, started))
    assert "curl http://127.0.0.1:" in said.read_text()


def test_a_named_port_that_is_busy_is_not_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            headgate("demo", "--once", "--http-port", str(port)),
            env=demo_environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 (HTTP) is in use" in done.stderr


def test_the_real_model_is_used_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    chosen = demo_stack({}, lambda name: Path("/models") / name)
    assert chosen.notes == ()
    assert simulated_pools(chosen.stack) == ("large", "moe")
    engine = chosen.stack.pools[0].replicas[0].engine
    assert isinstance(engine, VllmEngine)
    assert engine.model == "/models/SmolLM2-135M-Instruct"


@pytest.mark.parametrize(
    ("vllm", "fetched", "why"),
    [
        (None, Path("/m"), "vLLM is not installed here"),
        (object(), None, "is not here (bring it: headgate models fetch SmolLM2"),
    ],
)
def test_otherwise_one_line_says_why_not(monkeypatch: pytest.MonkeyPatch, vllm: object, fetched: Path | None, why: str) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: vllm)
    chosen = demo_stack({}, lambda name: fetched)
    assert len(chosen.notes) == 1
    assert why in chosen.notes[0]
    assert simulated_pools(chosen.stack) == ("small", "large", "moe")
    assert chosen.stack.pools[0].models == ("simulated-small",)


def test_models_of_the_users_own(tmp_path: Path) -> None:
    folder = tmp_path / "my-70b"
    folder.mkdir()
    chosen = demo_stack({"HEADGATE_LARGE_MODEL": str(folder)}, lambda name: Path("/m"))
    large = chosen.stack.pools[1]
    assert isinstance(large.replicas[0].engine, VllmEngine)
    assert (large.replicas[0].engine.model, large.models) == (str(folder), ("my-70b",))
    assert "large" not in simulated_pools(chosen.stack)
    with pytest.raises(CommandError, match="no such folder"):
        demo_stack({"HEADGATE_MOE_MODEL": str(tmp_path / "gone")}, lambda name: None)


ANSWER = Answer(
    "x" * 500 + "\x1b[2J", "openai stream", "large", "simulated-70b", True, 1234, 1100, 96, 0.02, 0.000123, "code; x"
)


@pytest.mark.parametrize("width", [80, 110, 160])
def test_what_is_drawn_fits(width: int) -> None:
    console = Console(width=width, color_system=None)
    asked = [(prompt, ANSWER) for prompt in PROMPTS]
    with console.capture() as captured:
        console.print(demo_report.decisions(asked, width), demo_report.honesty(asked), demo_report.block(1, *asked[0]))
    text = captured.get()
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    assert text.count("1234 (1100)") == len(PROMPTS)
    assert "0.000984" in text  # eight times the one answer's cost
