"""`headgate budget set`: an operator's word on what a tenant has spent, put into Redis directly. For a record that was lost."""

import json
import os
from pathlib import Path

from cli.errors import CommandError
from cli.money import usd
from cli.printable import printable
from cli.stack.config import state_folder
from cli.stack.redis_child import ACCESS
from router.admission.amounts import MOST_NANO, to_usd
from router.admission.operating import Record, StoreFault, records, set_spent

WINDOWS = ("hour", "day", "week", "month", "")


def budget_set(tenant: str, spent_usd: float, window: str | None, redis_url: str | None, file: Path) -> None:
    """The command. Raises CommandError."""
    if not 0 <= spent_usd <= to_usd(MOST_NANO):
        text = f"--spent: {spent_usd:g} is not an amount that a budget can have spent"
        raise CommandError(text, todo="give USD, from 0 to 9 million", exit_code=2)
    url, password = _where(redis_url, file)
    try:
        if window is None:
            window = _only_window(tenant, records(url, password, tenant))
        taken = set_spent(url, password, tenant, window, spent_usd)
    except StoreFault as fault:
        todo = "is it the right --redis URL, and HEADGATE_REDIS_PASSWORD?"
        raise CommandError(f"Redis can't be asked: {fault}", todo=todo) from None
    print(f"{printable(tenant)} has spent {usd(taken)} USD {_in(window)}; what is under way now is taken to be in that")


def _where(redis_url: str | None, file: Path) -> tuple[str, str | None]:
    """The Redis that is named, else the one that `headgate up` runs for this file."""
    if redis_url:
        return redis_url, os.environ.get("HEADGATE_REDIS_PASSWORD")
    try:
        said = json.loads((state_folder(file) / "redis" / ACCESS).read_text())
        return str(said["url"]), str(said["password"])
    except (OSError, ValueError, KeyError, TypeError):
        text = "no Redis is named, and no `headgate up` of this file keeps budgets in one of its own"
        raise CommandError(text, todo=f"give --redis URL, or -f FILE (it is {file})", exit_code=2) from None


def _only_window(tenant: str, found: tuple[Record, ...]) -> str:
    if len(found) == 1:
        return found[0].window
    name = printable(tenant)
    if not found:
        text = f"Redis has no record of {name}: nothing was spent under that name lately, or the record is gone"
        raise CommandError(text, todo="name the window of its budget: --window hour, day, week, month or forever", exit_code=2)
    told = "; ".join(f"{usd(each.spent_usd)} USD {_in(each.window)}{' (LOST)' * each.lost}" for each in found)
    raise CommandError(f"{name} has more than one record: {told}", todo="say which: --window", exit_code=2)


def _in(window: str) -> str:
    return f"in this {window}" if window else "in all"
