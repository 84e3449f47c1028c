"""What Helm prints after an installation is meant to be pasted: so it is, to a shell whose kubectl and curl only write down."""

import json
import subprocess
from typing import Any

import pytest
import yaml

from controlplane.resources.model_pool import ModelPoolSpec
from tests.helm.chart import CHART, NAMESPACE, RELEASE, helm
from tests.helm.variants import POOL, TENANT
from workers.config import SimulatedEngine

pytestmark = pytest.mark.requires("helm")

STAND_INS = """
kubectl() { echo "kubectl $*"; if [ "$1" = apply ]; then cat > applied; fi; }
curl() { for last; do :; done; echo "curl $1"; printf %s "$last" > body; printf '%s\\n' "$@" > arguments; }
"""


def notes(values: Any) -> str:
    options = ("--namespace", NAMESPACE, "--dry-run=client", "--values", "-")
    return helm("install", RELEASE, str(CHART), *options, stdin=yaml.safe_dump(values)).partition("NOTES:\n")[2]


def pasted(text: str, folder: Any) -> list[str]:
    """Runs every command of the notes; returns what was called."""
    begin = ("kubectl ", "curl ")
    lines, commands, inside = text.splitlines(), [], False
    for line in lines:
        if line.startswith(begin):
            inside = True
        if inside:
            commands.append(line)
        inside = inside and bool(line)
    command = ["sh", "-ec", STAND_INS + "\n".join(commands) + "\nwait"]
    done = subprocess.run(command, cwd=folder, env={"API_KEY": "k"}, capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_first_pool_and_the_first_request(tmp_path: Any) -> None:
    called = pasted(notes({}), tmp_path)
    assert f"kubectl port-forward --namespace {NAMESPACE} service/edge-headgate-router 8080:80" in called
    assert "curl http://127.0.0.1:8080/v1/chat/completions" in called
    pool = yaml.safe_load((tmp_path / "applied").read_text())
    assert pool["kind"] == "ModelPool"
    assert SimulatedEngine(**ModelPoolSpec.model_validate(pool["spec"]).engine.args)
    assert json.loads((tmp_path / "body").read_text())["model"] == "auto"


def test_with_tenants_the_request_shows_a_key(tmp_path: Any) -> None:
    text = notes({"pools": [POOL], "tenants": [TENANT], "router": {"service": {"httpPort": 8000}}})
    pasted(text, tmp_path)
    assert "authorization: Bearer k" in (tmp_path / "arguments").read_text()
    assert not (tmp_path / "applied").exists()
    assert "edge-headgate-router.serving.svc:8000/v1" in text


def test_what_is_open_is_said() -> None:
    assert "Nobody needs a key" in notes({})
    assert "plain text" in notes({})
    assert "There is no Redis" in notes({"redis": {"enabled": False}})
    assert "There is no Redis" not in notes({})
    assert "There is no Redis" not in notes({"redis": {"enabled": False, "external": {"url": "redis://a:1/0"}}})
    assert "Nobody needs a key" not in notes({"tenants": [TENANT]})
    assert "plain text" not in notes({"tls": {"mode": "self-signed"}})
