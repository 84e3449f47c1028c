"""The command line itself: what it says when it is used wrongly."""

import subprocess
import sys

import pytest

from tests.cli.stack_process import LIMIT_S, ROOT, environment, headgate


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        headgate(*arguments), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


@pytest.mark.parametrize("command", ["up", "ask", "quote", "budget", "top", "demo", "validate", "models"])
def test_every_command_is_in_the_help(command: str) -> None:
    assert f"  {command} " in run("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("up", "-f", "gone.yaml"), 2, "headgate: gone.yaml: no such file\n  name your file with -f"),
        (("up", "--http-port", "70000", "--check", "-f", "examples/openai-servers.yaml"), 2, "'70000' is not a port"),
        (("ask", "hi", "--address", "127.0.0.1:1"), 1, "headgate: no router answers at 127.0.0.1:1\n  start one with"),
        (("quote", "hi", "--address", "127.0.0.1:1"), 1, "headgate: no router answers at 127.0.0.1:1\n  start one with"),
        (("quote", " "), 2, "headgate: there is no question\n  write one"),
        (("budget", "--address", "127.0.0.1:1"), 1, "headgate: no router answers at 127.0.0.1:1\n  start one with"),
        (("top", "--once", "--address", "127.0.0.1:1"), 1, "headgate: no router's metrics at http://127.0.0.1:1/metrics"),
        (("validate", "gone.yaml"), 2, "headgate: gone.yaml: no such file"),
        (("models", "fetch", "gpt"), 2, "headgate: No model 'gpt' is known\n  Known are: SmolLM2"),
    ],
)
def test_errors_say_what_to_do_next(arguments: tuple[str, ...], code: int, says: str) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough() -> None:
    """As in `headgate models list | head -0`: no traceback."""
    script = f"{sys.executable} -m cli models list | head -c 0"
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.stderr == ""
