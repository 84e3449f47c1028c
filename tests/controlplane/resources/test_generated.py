"""What is generated from the classes and committed is what they would generate now."""

import subprocess
import sys
from pathlib import Path

import yaml

from controlplane.resources.crd import custom_resource_definition, files
from controlplane.resources.definitions import DEFINITIONS, MODEL_POOL
from controlplane.resources.envelope import parse
from controlplane.resources.examples import EXAMPLES
from controlplane.resources.reference import reference

ROOT = Path(__file__).resolve().parents[3]


def test_the_crds_of_the_chart() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "helm" / "crds").iterdir()}
    assert committed == files(), "run python -m controlplane.resources.crd"


def test_the_reference() -> None:
    committed = (ROOT / "docs" / "resources.md").read_text(encoding="utf-8")
    assert committed == reference(), "run python -m controlplane.resources.reference"


def test_the_programs_that_write_them(tmp_path: Path) -> None:
    for module, out in (("crd", tmp_path / "made" / "crds"), ("reference", tmp_path / "resources.md")):
        line = [sys.executable, "-m", f"controlplane.resources.{module}", "--out", str(out)]
        subprocess.run(line, cwd=ROOT, check=True, timeout=120)
    assert {path.name for path in (tmp_path / "made" / "crds").iterdir()} == files().keys()
    assert (tmp_path / "resources.md").read_text(encoding="utf-8") == reference()


def test_yaml_keeps_every_value() -> None:
    for definition in DEFINITIONS:
        assert yaml.safe_load(files()[f"{definition.plural}.yaml"]) == custom_resource_definition(definition)


def test_names_and_subresources() -> None:
    crd = custom_resource_definition(MODEL_POOL)
    assert crd["metadata"]["name"] == "modelpools.headgate.dev"
    assert crd["spec"]["names"]["shortNames"] == ["mp"]
    assert crd["spec"]["names"]["categories"] == ["headgate"]
    [version] = crd["spec"]["versions"]
    assert version["subresources"]["status"] == {}
    assert set(version["subresources"]["scale"]) == {"specReplicasPath", "statusReplicasPath", "labelSelectorPath"}


def test_the_examples_are_valid() -> None:
    for definition in DEFINITIONS:
        assert parse(yaml.safe_load(EXAMPLES[definition.kind]), definition).kind == definition.kind


def test_the_reference_has_every_field_and_rule() -> None:
    page = reference()
    for line in (
        '| `role` | string | `"aggregated"` | `aggregated`, `prefill`, `decode` | The phases of a request that it serves. |',
        "| `weight` | number | `1.0` | > 0; ≤ 1000 | Share under overload, against other tenants. |",
        "| `canaries[].percent` | integer | *required* | ≥ 0; ≤ 100 |",
        "- `spec.cache`: give exactly one of claimSize, existingClaim and image",
        "- `spec.engine.env[].name`: variables that begin with HEADGATE_ are set by the control plane",
    ):
        assert line in page
