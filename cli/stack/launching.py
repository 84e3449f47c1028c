"""How the programs of a stack are started: their command line, their surroundings, the files they read."""

import os
import site
import sys
from pathlib import Path

import cli
import headgate


def module(name: str, config: Path, *more: str) -> tuple[str, ...]:
    # -P: a folder called "router" where the user stands must not be taken for ours.
    return (sys.executable, "-P", "-m", name, "--config", str(config), *more)


def surroundings() -> dict[str, str]:
    """What every program needs: to find our packages, and to reach the others past any proxy (gRPC takes `http_proxy` for
    this machine's own addresses too)."""
    installed = {*site.getsitepackages(), site.getusersitepackages()}
    packages = (folder for each in (cli, headgate) if (folder := str(Path(each.__path__[0]).parent)) not in installed)
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    direct = ",".join(filter(None, [listed, "127.0.0.1", "localhost", "::1"]))
    path = os.pathsep.join(dict.fromkeys(filter(None, [*packages, os.environ.get("PYTHONPATH", "")])))
    return {"no_proxy": direct, "NO_PROXY": direct, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def write_whole(path: Path, text: str) -> None:
    """All or nothing: a reader never sees half of it."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
