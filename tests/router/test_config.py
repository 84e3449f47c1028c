from pathlib import Path

import pytest

from router.config import ConfigError, load


def write(folder: Path, text: str) -> Path:
    path = folder / "router.yaml"
    path.write_text(text)
    return path


def test_a_topology_is_all_that_must_be_said(tmp_path: Path) -> None:
    config = load(write(tmp_path, "topology: {file: pools.yaml}"))
    assert (config.http.port, config.grpc.port, config.unknown_parameters) == (8080, 50051, "refuse")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "topology: Field required"),
        ("topology: {}", "topology: .*exactly one of 'file' and 'address'"),
        ("topology: {file: a, address: 'b:1'}", "topology: .*exactly one"),
        ("topology: {address: control-plane}", "topology.address: "),
        ("topology: {file: a}\nhtpp: {}", "htpp: Extra inputs"),
        ("topology: {file: a}\nhttp: {port: 70000}", "http.port: "),
        ("topology: {file: a}\nfailover: {tries: 0}", "failover.tries: "),
        ("topology: {file: a}\nfailover: {idle_s: .inf}", "failover.idle_s: "),
        ("topology: {file: a}\npicking: {scorers: [{name: shortt_queue}]}", "short_queue"),
        ("topology: [", "not YAML"),
        ("- a", "Input should be"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load(write(tmp_path, text))
    assert "router.yaml" in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.yaml")
