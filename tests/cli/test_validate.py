"""`headgate validate`: which documents it checks and what it says of them."""

import io
from pathlib import Path

import pytest

from cli.errors import CommandError
from cli.validate import STDIN, check, validate

POOL = """\
apiVersion: headgate.dev/v1alpha1
kind: ModelPool
metadata: {name: qwen}
spec: {model: {name: qwen}, tier: small}
"""
BROKEN = """\
apiVersion: headgate.dev/v1alpha1
kind: Tenant
metadata: {name: search}
spec: {weight: 0, budget: {usd: 5, hard: true}}
"""
FOREIGN = "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\n"


def said(text: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(found.where, found.faults) for found in check(text, "pools.yaml")]


def test_objects_of_ours_are_checked_and_others_left_alone() -> None:
    assert said(f"{POOL}---\n{FOREIGN}---\n---\n{BROKEN}") == [
        ("pools.yaml: ModelPool qwen", ()),
        (
            "pools.yaml: Tenant search",
            ("spec.budget.window: a hard budget needs a window", "spec.weight: Input should be greater than 0"),
        ),
    ]


def test_a_list_is_its_items() -> None:
    indented = "\n".join("  " + line for line in POOL.splitlines())
    assert said(f"apiVersion: v1\nkind: List\nitems:\n- {indented.lstrip()}\n") == [("pools.yaml: ModelPool qwen", ())]


@pytest.mark.parametrize(
    ("text", "where", "fault"),
    [
        (POOL.replace("v1alpha1", "v1"), "pools.yaml: ModelPool qwen", "apiVersion: must be headgate.dev/v1alpha1"),
        (POOL.replace("ModelPool", "Pool"), "pools.yaml: Pool qwen", "kind: must be one of ModelPool, Tenant, RoutingPolicy"),
        (POOL.replace("metadata: {name: qwen}", "metadata: qwen"), "pools.yaml: ModelPool", "metadata.name: Required value"),
        ("just words", "pools.yaml", "a document that is not an object"),
    ],
)
def test_what_is_no_object_of_ours(text: str, where: str, fault: str) -> None:
    assert said(text) == [(where, (fault,))]


def test_text_that_is_not_yaml() -> None:
    [(where, [fault])] = said("a: [1")
    assert where == "pools.yaml"
    assert fault.startswith("not YAML: ")


def test_what_looks_like_a_date_is_a_string() -> None:
    """As it is to kubectl."""
    assert said(POOL.replace("{name: qwen}, tier", "{name: qwen, revision: 2026-11-21}, tier")) == [
        ("pools.yaml: ModelPool qwen", ())
    ]


def test_good_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pool.yaml").write_text(POOL)
    validate([tmp_path / "pool.yaml", tmp_path / "pool.yaml"])
    assert capsys.readouterr().out == "2 objects: fine\n"


def test_bad_files_end_with_status_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{POOL}---\n{BROKEN}"))
    with pytest.raises(CommandError, match="1 of 2 objects would be refused") as failed:
        validate([STDIN])
    assert failed.value.exit_code == 1
    assert capsys.readouterr().out.splitlines() == [
        "standard input: Tenant search: spec.budget.window: a hard budget needs a window",
        "standard input: Tenant search: spec.weight: Input should be greater than 0",
    ]


def test_files_without_objects_of_ours(tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text(FOREIGN)
    with pytest.raises(CommandError, match=r"no object of headgate\.dev") as failed:
        validate([tmp_path / "secret.yaml"])
    assert failed.value.exit_code == 2
