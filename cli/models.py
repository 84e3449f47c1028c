"""`headgate models list|fetch`: shows and fetches the models that cli/fetching/model_store.py knows. Printing only."""

import sys

from rich.console import Console
from rich.table import Table

from cli.fetching import model_store
from cli.fetching.progress import shown

_MB = 1e6


def show_list() -> None:
    """The command `models list`."""
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("model", "here", "licence"):
        table.add_column(heading, no_wrap=True)
    table.add_column("context", justify="right", no_wrap=True)
    table.add_column("download", justify="right", no_wrap=True)
    models = model_store.list_models()
    for model in models:
        size = f"{model.package.size_bytes / _MB:.0f} MB"
        table.add_row(model.name, "yes" if model.path else "no", model.licence, f"{model.context_tokens}", size)
    console.print(table)
    for model in models:
        where = f"it is in {model.path}" if model.path else f"bring it here: headgate models fetch {model.name}"
        print(f"\n{model.name}: {model.summary}\n{where}")


def fetch(name: str) -> None:
    """The command `models fetch`. Progress goes to standard error; the folder, alone, to standard output."""
    was_here = model_store.path_of(name) is not None
    with shown(sys.stderr) as report:
        folder = model_store.fetch(name, report)
    if was_here:
        print(f"{name} is here already", file=sys.stderr)
    print(folder)
