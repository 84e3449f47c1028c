"""Settings: strict, frozen, and every fault names its key."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from workers.config import ConfigError, OpenAIHttpEngine, SimulatedEngine, VllmEngine, load, load_variable, parse


def made(**engine: Any) -> dict[str, Any]:
    return {"models": ["m"], "engine": engine}


@pytest.mark.parametrize(
    ("engine", "cls"),
    [
        ({"kind": "simulated", "profile": "h100-70b"}, SimulatedEngine),
        ({"kind": "simulated", "profile": {"base_s": 0.01}}, SimulatedEngine),
        ({"kind": "vllm", "model": "/m", "speculation": {"method": "ngram", "num_speculative_tokens": 3}}, VllmEngine),
        ({"kind": "openai_http", "base_url": "http://127.0.0.1:8000/v1", "model": "m", "dialect": "sglang"}, OpenAIHttpEngine),
    ],
)
def test_kinds(engine: dict[str, Any], cls: type) -> None:
    config = parse(made(**engine), "f")
    assert isinstance(config.engine, cls)
    with pytest.raises(ValidationError):
        config.listen = "127.0.0.1:1"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("document", "key"),
    [
        (made(kind="warp"), "engine"),
        (made(kind="simulated", profile="warp"), "engine.simulated.profile"),
        (made(kind="simulated", profile={"base_s": -1}), "engine.simulated.profile"),
        (made(kind="simulated", shortest_answer_tokens=9, longest_answer_tokens=8), "engine.simulated"),
        (made(kind="simulated", kv_blocks=4), "engine.simulated"),
        (made(kind="simulated", failures={"refuse_rate": 2}), "engine.simulated.failures.refuse_rate"),
        (made(kind="simulated", failures={"explode": 1}), "engine.simulated.failures.explode"),
        (made(kind="vllm"), "engine.vllm.model"),
        (made(kind="vllm", model="m", speculation={"method": "eagle", "num_speculative_tokens": 2}), "engine.vllm.speculation"),
        (made(kind="vllm", model="m", gpu_memory_utilization=1.5), "engine.vllm.gpu_memory_utilization"),
        (made(kind="openai_http", base_url="ftp://x", model="m"), "engine.openai_http.base_url"),
        ({**made(kind="simulated"), "listen": "8080"}, "listen"),
        ({**made(kind="simulated"), "listen": "127.0.0.1:99999"}, "listen"),
        ({**made(kind="simulated"), "drain_s": float("inf")}, "drain_s"),
        ({**made(kind="simulated"), "models": [""]}, "models.0"),
        ([], "(top)"),
        (None, "models"),
    ],
)
def test_faults_name_their_key(document: Any, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(document, "worker.yaml")
    assert f"worker.yaml: {key}" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"), [(b"a: [", "not YAML"), (b"\xff\xfe\x00\x81", "worker.yaml"), (None, "No such file")]
)
def test_files_that_can_not_be_read(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "worker.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        load(path)


def test_settings_from_the_environment() -> None:
    config = load_variable({"HEADGATE_WORKER_CONFIG": '{"models": ["m"], "engine": {"kind": "simulated"}}', "HOME": "/"})
    assert config == parse(made(kind="simulated"), "f")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no settings: give --config, or JSON in HEADGATE_WORKER_CONFIG"),
        ("models: [m]", "HEADGATE_WORKER_CONFIG: not JSON"),
        ("", "HEADGATE_WORKER_CONFIG: not JSON"),
        ("null", "HEADGATE_WORKER_CONFIG: models"),
        (
            '{"models": ["m"], "engine": {"kind": "simulated", "profil": "x"}}',
            "HEADGATE_WORKER_CONFIG: engine.simulated.profil",
        ),
    ],
)
def test_a_bad_environment_names_the_variable_and_the_key(text: str | None, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_variable({} if text is None else {"HEADGATE_WORKER_CONFIG": text})
    assert said in str(caught.value)


def test_faults_of_the_environment_do_not_repeat_what_was_in_it() -> None:
    for text in ('{"engine": "s3cret"', '{"models": ["m"], "engine": {"kind": "simulated"}, "listen": "s3cret"}'):
        with pytest.raises(ConfigError) as caught:
            load_variable({"HEADGATE_WORKER_CONFIG": text})
        assert "s3cret" not in str(caught.value)
