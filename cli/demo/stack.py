"""What the demo runs: cli/demo.yaml, with the pools replaced that this machine can't have or the user has better ones for."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.stack.config import Stack, parse, read_document

DEMO_FILE = Path(__file__).with_name("demo.yaml")
DEMO_MODEL = "SmolLM2-135M-Instruct"
# Pools that run a real model when the user names its folder.
OWN_MODELS = {"large": "HEADGATE_LARGE_MODEL", "moe": "HEADGATE_MOE_MODEL"}


@dataclass(frozen=True, slots=True)
class DemoStack:
    """`notes` say in one line each what differs from the file and why."""

    stack: Stack
    notes: tuple[str, ...]


def demo_stack(environment: Mapping[str, str], fetched: Callable[[str], Path | None]) -> DemoStack:
    """Raises CommandError where the user names a model folder that is not there."""
    document = read_document(DEMO_FILE)
    vllm_here = importlib.util.find_spec("vllm") is not None
    notes = []
    for pool in document["pools"]:
        own = environment.get(OWN_MODELS.get(pool["name"], ""), "")
        if own:
            _run_own(pool, own)
            notes.append(f"pool {pool['name']}: your model in {own} ({OWN_MODELS[pool['name']]}), on real vLLM")
        elif pool["engine"]["kind"] == "vllm" and (why := _why_not_real(vllm_here, fetched)):
            pool["engine"] = {"kind": "simulated", "profile": "cpu-small"}
            pool["models"] = ["simulated-small"]
            notes.append(f"pool {pool['name']} is SIMULATED too: {why}")
    return DemoStack(parse(document, DEMO_FILE, fetched), tuple(notes))


def _why_not_real(vllm_here: bool, fetched: Callable[[str], Path | None]) -> str:
    if not vllm_here:
        return "vLLM is not installed here (`make vllm` installs it, or says why it can't be)"
    if fetched(DEMO_MODEL) is None:
        return f"{DEMO_MODEL} is not here (bring it: headgate models fetch {DEMO_MODEL})"
    return ""


def _run_own(pool: dict[str, Any], folder: str) -> None:
    """A real model in place of the simulated one: vLLM's own defaults, as the model and the machine are not known here."""
    path = Path(folder).expanduser().absolute()
    pool["engine"] = {"kind": "vllm", "model": str(path)}
    pool["models"] = [path.name]
    pool["replicas"] = 1
