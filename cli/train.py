"""`headgate train`: outcomes in, an artefact and a report out. Reads options and outcomes; says all that is wrong with them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cli.errors import CommandError
from cli.order import SPLIT, Order, say
from cli.printable import printable
from cli.whole_file import check_place
from training.outcomes.columns import Columns
from training.outcomes.enough import warnings_of
from training.outcomes.faults import OutcomesRefused
from training.outcomes.overlap import fresh_rows
from training.outcomes.reading import read_outcomes
from training.outcomes.table import Outcomes


def columns_of(prompt: str, domain: str, pool: str, scale: str, named: Mapping[str, Sequence[str]]) -> Columns:
    """The options on columns, read. Raises CommandError."""
    alone = [said for said in named["--quality"] if "=" not in said]
    if len(alone) > 1:
        raise CommandError(f"--quality {alone[1]}: NAME=COLUMN expected", exit_code=2)
    return Columns(
        prompt=prompt,
        domain=domain,
        pool=pool,
        quality_column=alone[0] if alone else "quality",
        quality=_pairs("--quality", [said for said in named["--quality"] if "=" in said]),
        cost_usd=_pairs("--cost", named["--cost"]),
        output_tokens=_pairs("--tokens", named["--tokens"]),
        renamed={theirs: ours for ours, theirs in _pairs("--pool", named["--pool"]).items()},
        scale=_scale(scale),
    )


def _pairs(flag: str, said: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for each in said:
        name, _, value = each.partition("=")
        if not name.strip() or not value.strip():
            raise CommandError(f"{flag} {each}: NAME=… expected", exit_code=2)
        if name.strip() in pairs:
            raise CommandError(f"{flag}: {name.strip()} is there twice", exit_code=2)
        pairs[name.strip()] = value.strip()
    return pairs


def _scale(said: str) -> tuple[float, float]:
    try:
        low, high = map(float, said.split(":"))
    except ValueError:
        low = high = 0.0
    if not -1e9 < low < high < 1e9:
        raise CommandError(f"--scale {said}: LOW:HIGH expected, such as 1:10", exit_code=2)
    return low, high


def train(order: Order, columns: Columns) -> None:
    """The command. Raises CommandError; whatever stops it, no half file is left."""
    _check_outputs(order)
    try:
        _run(order, columns)
    except OutcomesRefused as refused:
        raise CommandError(printable(str(refused)), exit_code=2) from None
    except KeyboardInterrupt:
        raise CommandError("stopped; no half file is left", exit_code=130) from None
    except MemoryError:
        raise CommandError("not enough memory for these outcomes; leave out rows or columns") from None


def _run(order: Order, columns: Columns) -> None:
    """Everything that can be refused is refused here, before the fit and before its libraries are loaded."""
    outcomes = read_outcomes(order.files, columns, say)
    warnings = warnings_of(outcomes)
    for warning in warnings:
        say(f"warning: {warning}")
    others = None
    if order.evaluate not in ("", SPLIT):
        others = read_outcomes([Path(order.evaluate)], columns, say)
        others_fit(others, outcomes, order.evaluate)
    from cli.fitting import fit_and_report  # scikit-learn and matplotlib take seconds to load

    fit_and_report(order, outcomes, others, warnings)


def others_fit(others: Outcomes, outcomes: Outcomes, name: str) -> None:
    """Raises CommandError where `--eval FILE` has nothing to say of these pools, or no prompt of its own."""
    if not set(others.pools) & set(outcomes.pools):
        both = f"{', '.join(others.pools)}; trained on are {', '.join(outcomes.pools)}"
        raise CommandError(printable(f"{name}: its pools are {both}"), exit_code=2)
    if not len(fresh_rows(others, outcomes)):
        raise CommandError(f"{name}: every prompt in it is one of the training prompts", exit_code=2)


def _check_outputs(order: Order) -> None:
    """Before an hour of work, not after it."""
    for path in filter(None, (order.output, order.report)):
        check_place(path)
        if any(path.exists() and file.exists() and path.samefile(file) for file in order.files):
            raise CommandError(f"{path}: is one of the files of outcomes", exit_code=2)
    if order.report and order.report.absolute() == order.output.absolute():
        raise CommandError(f"{order.report}: the report and the artefact need names of their own", exit_code=2)
