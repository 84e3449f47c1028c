"""Classes that the settings name: made, or a fault that names the key."""

import pytest

from router.choosing.strategies import Balanced
from router.config import ConfigError
from router.named_classes import load_choosers


class Fragile:
    def __init__(self) -> None:
        raise OSError("no such model")

    def utilities(self) -> None: ...


NOT_A_CLASS = 3


def test_a_chooser_is_made() -> None:
    (made,) = load_choosers({"mine": "router.choosing.strategies:Balanced"}).values()
    assert isinstance(made, Balanced)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("router.choosing.strategies", "choosers.mine: 'router.choosing.strategies' is not package.module:Class"),
        (":Balanced", "is not package.module:Class"),
        ("no.such.module:Class", "choosers.mine: no.such.module:Class: No module named 'no'"),
        ("router.choosing.strategies:Nothing", "router.choosing.strategies has no class 'Nothing'"),
        (f"{__name__}:NOT_A_CLASS", "has no class 'NOT_A_CLASS'"),
        ("router.choosing.strategies:Option", "has no method 'utilities'"),
        (f"{__name__}:Fragile", "could not be made: OSError: no such model"),
    ],
)
def test_faults_name_the_key(path: str, text: str) -> None:
    with pytest.raises(ConfigError) as fault:
        load_choosers({"mine": path})
    assert text in str(fault.value)
