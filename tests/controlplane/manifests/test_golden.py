"""Whole manifests, as files to be read and compared. After a change on purpose write them anew, and read the difference:
`PYTHONPATH=.:proto python -m tests.controlplane.manifests.test_golden`."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.manifests.children import children
from tests.controlplane.manifests.pools import OWNER, POOLS, pool

GOLDEN = Path(__file__).parent / "golden"


class Readable(yaml.SafeDumper):
    """No anchors, and texts of several lines as they are."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, "|" if "\n" in text else None)


Readable.add_representer(str, Readable.represent_str)


def rendered(name: str) -> str:
    document, platform = POOLS[name]
    objects = children(OWNER, pool(document), platform, replicas=3, min_ready_s=30)
    return yaml.dump_all(objects, Dumper=Readable, sort_keys=False, width=120)


@pytest.mark.parametrize("name", POOLS)
def test_manifests_are_as_they_were_reviewed(name: str) -> None:
    assert rendered(name) == (GOLDEN / f"{name}.yaml").read_text()


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(POOLS)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name in POOLS:
        (GOLDEN / f"{name}.yaml").write_text(rendered(name))
