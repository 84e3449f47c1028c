"""`headgate validate`: checks ModelPools, Tenants and RoutingPolicies in files by the API server's rules, without a cluster."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cli.errors import CommandError
from cli.printable import printable
from controlplane.names import GROUP
from controlplane.resources.envelope import definition_of, parse
from controlplane.resources.faults import InvalidObject

STDIN = Path("-")


class _KubernetesLoader(yaml.SafeLoader):
    """Without YAML's dates: Kubernetes has none, so they are strings to it."""


_KubernetesLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Checked:
    """One of our objects, or a document that is none: where it is, and one line per fault."""

    where: str
    faults: tuple[str, ...] = ()


def validate(files: list[Path]) -> None:
    """The command. Faults go to standard output; raises CommandError where there are any."""
    checked = [found for file in files for found in check(_read(file), "standard input" if file == STDIN else str(file))]
    if not checked:
        raise CommandError(f"no object of {GROUP} is in {', '.join(map(str, files))}", exit_code=2)
    for found in checked:
        for fault in found.faults:
            print(printable(f"{found.where}: {fault}"))
    if wrong := sum(bool(found.faults) for found in checked):
        raise CommandError(f"{wrong} of {len(checked)} objects would be refused")
    print(f"{len(checked)} objects: fine")


def check(text: str, source: str) -> Iterator[Checked]:
    """Every object of ours in a file of YAML or JSON documents; those of other groups are left to others."""
    try:
        documents = list(yaml.load_all(text, _KubernetesLoader))
    except yaml.YAMLError as fault:
        yield Checked(source, (f"not YAML: {fault}",))
        return
    for document in _flat(documents):
        if not isinstance(document, dict):
            yield Checked(source, ("a document that is not an object",))
        elif str(document.get("apiVersion", "")).partition("/")[0] == GROUP:
            yield _checked(document, source)


def _flat(documents: list[Any]) -> Iterator[Any]:
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == "List" and isinstance(document.get("items"), list):
            yield from document["items"]
        elif document is not None:
            yield document


def _checked(document: dict[str, Any], source: str) -> Checked:
    meta = document.get("metadata")
    name = meta.get("name", "") if isinstance(meta, dict) else ""
    where = f"{source}: {document.get('kind', 'no kind')} {name}".rstrip()
    try:
        parse(document, definition_of(document))
    except InvalidObject as refused:
        return Checked(where, tuple(map(str, refused.faults)))
    return Checked(where)


def _read(file: Path) -> str:
    if file == STDIN:
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CommandError(f"{file}: no such file", exit_code=2) from None
    except (OSError, UnicodeDecodeError) as fault:
        raise CommandError(f"{file}: {fault}", exit_code=2) from fault
