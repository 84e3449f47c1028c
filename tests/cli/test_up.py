"""`headgate up` as a whole: the real router and real workers with simulated engines, started, broken and stopped."""

import json
import signal
import socket
import subprocess
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.demo.clients import ask_grpc, ask_openai, ask_plain
from cli.demo.prompts import PROMPTS, DemoPrompt
from cli.errors import CommandError
from tests.cli.stack_process import LIMIT_S, SIMULATED, StackProcess, alive, below, environment, headgate, pool, running, until


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackProcess]:
    """For the tests that break nothing."""
    with running(tmp_path_factory.mktemp("up"), pool("small"), pool("moe", tier="moe", replicas=2)) as started:
        yield started


def test_the_ready_file_says_where_and_what(stack: StackProcess) -> None:
    said = stack.ready()
    assert said["http"].startswith("http://127.0.0.1:")
    assert said["grpc"].startswith("127.0.0.1:")
    assert said["pid"] == stack.process.pid
    assert said["pools"] == {"small": {"ready_replicas": 1, "replicas": 1}, "moe": {"ready_replicas": 2, "replicas": 2}}


def test_it_answers(stack: StackProcess) -> None:
    answer = stack.chat()
    assert answer["headgate"]["pool"] == "small"
    assert answer["headgate"]["simulated"] is True
    assert answer["choices"][0]["message"]["content"].startswith("[simulated]")


def test_the_log_says_whose_line_it_is(stack: StackProcess) -> None:
    stack.ready()
    assert "[small/0]" in stack.log
    assert "[router]" in stack.log
    assert "[headgate]  router up · small 1/1 · moe 2/2" in stack.log
    assert "\x1b" not in stack.log


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt.title)
def test_every_client_of_the_demo_gets_the_same_answer(stack: StackProcess, prompt: DemoPrompt) -> None:
    """A JSON schema has no gRPC client in the demo."""
    said = stack.ready()
    answers = [ask_openai(said["http"], prompt), ask_plain(said["http"], prompt)]
    if prompt.json_schema is None:
        answers.append(ask_grpc(said["grpc"], prompt))
    else:
        assert isinstance(json.loads(answers[0].text), dict)
    assert len({answer.text for answer in answers}) == 1
    assert {(answer.pool, answer.simulated, answer.prompt_tokens, answer.output_tokens) for answer in answers} == {
        (answers[0].pool, True, answers[0].prompt_tokens, answers[0].output_tokens)
    }
    assert all(answer.cost_usd == 0 for answer in answers)  # this stack has no prices


@pytest.mark.parametrize("client", [ask_openai, ask_plain])
def test_a_refusal_is_told(stack: StackProcess, client: Any) -> None:
    with pytest.raises(CommandError, match="is not a model or pool here"):
        client(stack.ready()["http"], DemoPrompt("x", "x", "x", "http", model="gone"))


def test_ask_and_top_against_it(stack: StackProcess) -> None:
    said = stack.ready()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = headgate(*arguments)
        return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False)

    asked = run("ask", "Hello there", "--explain", "--address", said["grpc"], "--max-tokens", "5")
    assert (asked.returncode, asked.stdout[:11]) == (0, "[simulated]")
    assert "simulated engine" in asked.stderr
    shown = run("top", "--once", "--every", "0.2", "--address", said["http"])
    assert shown.returncode == 0
    assert "simulated-small" in shown.stdout


def test_sigterm_ends_everything(tmp_path: Path) -> None:
    with running(tmp_path, pool(replicas=2)) as stack:
        stack.ready()
        started = below(stack.process.pid)
        assert len(started) == 6  # a router and two workers, each with its warden
        stack.process.terminate()
        assert stack.process.wait(LIMIT_S) == 0
        assert not any(map(alive, started))
        assert not stack.ready_file.exists()
        lines = stack.log.splitlines()
        assert lines[-1] == "[headgate]  stopped"


def test_kill_9_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path, pool(replicas=2)) as stack:
        stack.ready()
        started = below(stack.process.pid)
        stack.process.kill()
        stack.process.wait(LIMIT_S)
        until(lambda: not any(map(alive, started)))


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    with running(tmp_path, pool()) as stack:
        stack.ready()
        first = stack.pid_of("small-0")
        subprocess.run(["kill", "-9", str(first)], check=True)
        until(lambda: "small 1/1" in stack.log.partition("small/0 was ended by SIGKILL; starting it again")[2])
        assert stack.pid_of("small-0") != first
        until(lambda: answers(stack))


def test_a_killed_router_comes_back_where_clients_know_it(tmp_path: Path) -> None:
    with running(tmp_path, pool()) as stack:
        stack.ready()
        subprocess.run(["kill", "-9", str(stack.pid_of("router"))], check=True)
        until(lambda: stack.log.count("router up") == 2)
        until(lambda: answers(stack))


def answers(stack: StackProcess) -> bool:
    try:
        return bool(stack.chat("small")["choices"])
    except (OSError, urllib.error.HTTPError):
        return False


def test_a_pool_that_never_starts_does_not_stop_the_others(tmp_path: Path) -> None:
    broken = pool("broken", engine={**SIMULATED, "failures": {"start_fails": True}})
    with running(tmp_path, pool(), broken) as stack:
        until(lambda: "broken 0/1 FAILING" in stack.log)
        until(lambda: "router up · small 1/1" in stack.log)
        assert not stack.ready_file.exists()
        stack.process.terminate()
        assert stack.process.wait(LIMIT_S) == 0


def test_the_second_signal_does_not_wait(tmp_path: Path) -> None:
    """The engine hangs in mid-answer, and the router would drain for ten minutes."""
    hanging = {**SIMULATED, "failures": {"hang_after_tokens": 3}}
    failover = {"first_token_s": 600, "idle_s": 600}
    with running(tmp_path, pool(engine=hanging), router={"drain_s": 600, "failover": failover}) as stack:
        http = stack.ready()["http"].removeprefix("http://")
        host, _, port = http.partition(":")
        body = json.dumps({"model": "small", "stream": True, "messages": [{"role": "user", "content": "x"}], "max_tokens": 50})
        with socket.create_connection((host, int(port)), LIMIT_S) as client:
            headers = ("host: x", "content-type: application/json", f"content-length: {len(body)}")
            client.sendall("\r\n".join(("POST /v1/chat/completions HTTP/1.1", *headers, "", body)).encode())
            assert client.recv(1) == b"H"
            started = below(stack.process.pid)
            stack.process.send_signal(signal.SIGINT)
            until(lambda: "shutting down" in stack.log)
            assert stack.process.poll() is None
            stack.process.send_signal(signal.SIGINT)
            assert stack.process.wait(LIMIT_S) == 0
        assert not any(map(alive, started))


def run_up(folder: Path, text: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    file = folder / "headgate.yaml"
    file.write_text(text)
    command = headgate("up", "-f", str(file), *arguments)
    return subprocess.run(command, env=environment(**env), capture_output=True, text=True, timeout=LIMIT_S, check=False)


SMALL = "pools: [{name: small, tier: small, models: [m], engine: {kind: simulated}}]"


def test_check_starts_nothing(tmp_path: Path) -> None:
    done = run_up(tmp_path, SMALL, "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "fine. 1 pool: small (small): 1 × simulated" in done.stdout


def test_a_mistake_is_told_without_a_traceback(tmp_path: Path) -> None:
    done = run_up(tmp_path, SMALL.replace("tier", "tear"))
    assert done.returncode == 2
    assert "headgate.yaml: pools.0.tear: unknown key: did you mean 'tier'?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("flag", "variable"), [("--http-port", "HEADGATE_HTTP_PORT"), ("--grpc-port", "HEADGATE_GRPC_PORT")])
def test_a_busy_port(tmp_path: Path, flag: str, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        others = {"HEADGATE_HTTP_PORT": "0", "HEADGATE_GRPC_PORT": "0"}
        for done in (
            run_up(tmp_path, SMALL, flag, port, **others),
            run_up(tmp_path, SMALL, **{**others, variable: port}),
        ):
            assert done.returncode == 1
            assert f"port {port} on 127.0.0.1" in done.stderr
            assert f"{flag} N or {variable}=N" in done.stderr
