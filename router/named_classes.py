"""Classes of the operator's own, named in the settings as package.module:Class. Made once, at start; a fault names the key."""

from collections.abc import Mapping
from importlib import import_module
from inspect import isclass
from typing import Any, cast

from router.choosing.strategies import Strategy
from router.config import ConfigError


def made(key: str, path: str, method: str) -> Any:
    """One instance. `method` is what the class must have. Raises ConfigError."""
    module, _, name = path.partition(":")
    if not module or not name:
        raise ConfigError(f"{key}: {path!r} is not package.module:Class")
    try:
        cls: Any = getattr(import_module(module), name, None)
    except ImportError as fault:
        raise ConfigError(f"{key}: {path}: {fault}") from fault
    if not isclass(cls):
        raise ConfigError(f"{key}: {module} has no class {name!r}")
    if not callable(getattr(cls, method, None)):
        raise ConfigError(f"{key}: {path} has no method {method!r}")
    try:
        return cls()
    except Exception as fault:
        raise ConfigError(f"{key}: {path} could not be made: {type(fault).__name__}: {fault}") from fault


def load_choosers(named: Mapping[str, str]) -> dict[str, Strategy]:
    """For policies with strategy custom. Raises ConfigError; its text names the key, such as `choosers.thrifty`."""
    return {name: cast(Strategy, made(f"choosers.{name}", path, "utilities")) for name, path in named.items()}
