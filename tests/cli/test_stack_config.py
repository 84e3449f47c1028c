"""headgate.yaml: what is accepted, and that every mistake is named with its file, its key and what to do."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.errors import CommandError
from cli.stack.config import Stack, load, simulated_pools
from workers.config import OpenAIHttpEngine, VllmEngine

ROOT = Path(__file__).resolve().parents[2]
SMALL: dict[str, Any] = {
    "pools": [{"name": "small", "tier": "small", "models": ["tiny"], "engine": {"kind": "simulated"}, "replicas": 2}]
}


def write(folder: Path, document: Any) -> Path:
    file = folder / "headgate.yaml"
    file.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return file


def changed(path: str, value: Any) -> dict[str, Any]:
    """SMALL with one key set, or removed where the value is ..."""
    document = copy.deepcopy(SMALL)
    *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
    here: Any = document
    for step in way:
        here = here.setdefault(step, {}) if isinstance(here, dict) and isinstance(step, str) else here[step]
    if value is ...:
        del here[last]
    else:
        here[last] = value
    return document


def fault(folder: Path, document: Any) -> str:
    with pytest.raises(CommandError) as caught:
        load(write(folder, document), lambda _: None)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_the_smallest_file(tmp_path: Path) -> None:
    stack = load(write(tmp_path, SMALL))
    assert [replica.id for replica in stack.pools[0].replicas] == ["small-0", "small-1"]
    assert (stack.http, stack.grpc) == (("127.0.0.1", 8080), ("127.0.0.1", 50051))
    assert simulated_pools(stack) == ("small",)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("pools", ..., "headgate.yaml: pools: is needed: add it"),
        ("pools.0.tier", "huge", "headgate.yaml: pools.0.tier: input should be 'small', 'large' or 'moe' (it is 'huge')"),
        ("pools.0.nmae", "x", "headgate.yaml: pools.0.nmae: unknown key: did you mean 'name'?"),
        ("poolz", [], "headgate.yaml: poolz: unknown key: did you mean 'pools'?"),
        ("pools.0.engine", ..., "pools.0: give either 'engine' (started here) or 'addresses' (workers that run already)"),
        ("pools.0.engine.max_runing", 3, "headgate.yaml: pools.0.engine.max_runing: unknown key: did you mean 'max_running'?"),
        ("pools.0.engine.kind", "vlm", "headgate.yaml: pools.0.engine.kind: 'vlm' is no engine: use "),
        ("pools.0.engine", {}, "headgate.yaml: pools.0.engine.kind: is needed: simulated, vllm or openai_http"),
        ("pools.0.engine", {"kind": "vllm"}, "headgate.yaml: pools.0.engine.model: is needed: add it"),
        ("pools.0.engine", {"kind": "vllm", "model": "x7"}, "pools.0.engine.model: 'x7' is neither a folder"),
        ("pools.0.engine", {"kind": "vllm", "model": "x7"}, "run: headgate models fetch x7"),
        ("pools.0.engine", {"kind": "vllm", "model": "./gone"}, "pools.0.engine.model: no such folder: /"),
        (
            "pools.0.engine.failures",
            {"refuse_rat": 1},
            "pools.0.engine.failures.refuse_rat: unknown key: did you mean 'refuse_rate'?",
        ),
        ("pools.0.replicas", 0, "headgate.yaml: pools.0.replicas: "),
        ("pools.0.replicas", [{"engine": {"max_runing": 1}}], "pools.0.replicas.0.engine.max_runing: unknown key"),
        ("pools.0.prices", {"output_usd_per_mtok": -1}, "pools.0.prices.output_usd_per_mtok: input should be greater"),
        ("pools.0.name", "auto", "pools.0: 'auto' is what clients ask for"),
        ("pools.0.name", "a b", "pools.0.name: "),
        ("router", {"topology": {"file": "x"}}, "router.topology: `headgate up` writes the topology itself: remove this key"),
        ("router", {"http": {"prot": 1}}, "headgate.yaml: router.http.prot: unknown key: did you mean 'port'?"),
        ("router", {"http": {"port": 70000}}, "headgate.yaml: router.http.port: input should be less than or equal to 65535"),
        ("router", {"picking": {"picker": {"name": "bst"}}}, "did you mean 'best'?"),
        ("tenants", [{"name": "a", "key_sha256": ["abc"]}], "headgate.yaml: tenants.0.key_sha256.0: "),
        (
            "tenants",
            [{"name": "a", "key_sha256": ["0" * 64], "pools": ["big"]}],
            "tenants.0.pools.0: no pool is called 'big'; there are small",
        ),
    ],
)
def test_mistakes(tmp_path: Path, path: str, value: Any, says: str) -> None:
    text = fault(tmp_path, changed(path, value))
    assert says in text
    assert f"headgate up --check -f {tmp_path}/headgate.yaml" in text
    assert "Traceback" not in text
    assert "pydantic" not in text


def test_two_pools_of_one_name(tmp_path: Path) -> None:
    assert "pools.1.name: another pool is called 'small' already" in fault(tmp_path, {"pools": SMALL["pools"] * 2})


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    document = changed("pools.0.engine.max_runing", 3)
    document["router"] = {"drian_s": 1}
    text = fault(tmp_path, document)
    assert "pools.0.engine.max_runing" in text
    assert "router.drian_s: unknown key: did you mean 'drain_s'?" in text


@pytest.mark.parametrize(("text", "says"), [("pools: [", "not YAML"), ("- 1", "must be a mapping"), ("", "must be a mapping")])
def test_what_is_no_settings_file(tmp_path: Path, text: str, says: str) -> None:
    assert says in fault(tmp_path, text)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no such file") as caught:
        load(tmp_path / "headgate.yaml")
    assert "examples/" in caught.value.todo


def test_replicas_may_differ(tmp_path: Path) -> None:
    engine = {"kind": "openai_http", "model": "m"}
    replicas = [{"engine": {"base_url": f"http://gpu-{n}:8000/v1"}, "env": {"N": str(n)}} for n in (1, 2)]
    document = changed("pools.0.engine", engine)
    document["pools"][0] |= {"replicas": replicas, "env": {"ALL": "1"}}
    stack = load(write(tmp_path, document))
    engines = [replica.engine for replica in stack.pools[0].replicas]
    assert [e.base_url for e in engines if isinstance(e, OpenAIHttpEngine)] == ["http://gpu-1:8000/v1", "http://gpu-2:8000/v1"]
    assert [dict(replica.env) for replica in stack.pools[0].replicas] == [{"ALL": "1", "N": "1"}, {"ALL": "1", "N": "2"}]


def test_running_workers_are_taken_as_they_are(tmp_path: Path) -> None:
    document = changed("pools.0.engine", ...)
    document["pools"][0] |= {"addresses": ["10.0.0.1:9000"]}
    pool = load(write(tmp_path, document)).pools[0]
    assert (pool.addresses, pool.replicas) == (("10.0.0.1:9000",), ())


def vllm(stack: Stack) -> VllmEngine:
    engine = stack.pools[0].replicas[0].engine
    assert isinstance(engine, VllmEngine)
    return engine


def test_what_a_model_may_be(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    fetched = tmp_path / "cache" / "Smol"

    def model(name: str) -> str:
        file = write(tmp_path, changed("pools.0.engine", {"kind": "vllm", "model": name}))
        return vllm(load(file, lambda asked: fetched if asked == "Smol" else None)).model

    assert model("weights") == model("./weights") == str(tmp_path / "weights")
    assert model("Smol") == str(fetched)
    assert model("owner/model") == "owner/model"


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    for name in ("weights", "draft"):
        (tmp_path / name).mkdir()
    (tmp_path / "chat.jinja").write_text("{{ messages }}")
    engine = {
        "kind": "vllm",
        "model": "weights",
        "chat_template": "chat.jinja",
        "speculation": {"method": "draft_model", "model": "draft", "num_speculative_tokens": 2},
    }
    found = vllm(load(write(tmp_path, changed("pools.0.engine", engine))))
    assert found.chat_template == str(tmp_path / "chat.jinja")
    assert found.speculation is not None
    assert found.speculation.model == str(tmp_path / "draft")


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda file: file.name)
def test_the_examples_are_right(file: Path) -> None:
    assert load(file, lambda name: Path("/models") / name).pools
