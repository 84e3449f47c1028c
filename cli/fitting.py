"""The long part of `headgate train`: fits, tests, writes artefact and report, says how it went."""

from cli.errors import CommandError
from cli.order import SPLIT, Order, say
from cli.printable import printable
from cli.whole_file import whole_file
from router.choosing.quality.artefact import write
from router.choosing.quality.prediction import Predictor
from training.fit.fitting import Fitted, fit
from training.outcomes.table import Outcomes
from training.report.examining import Facts, Trial, findings_of, trial_by_folds, trial_by_split, trial_on, trial_unseen
from training.report.page import page
from training.report.terminal import console, view
from training.report.verdict import Verdict
from training.report.words import summary


def fit_and_report(order: Order, outcomes: Outcomes, others: Outcomes | None, warnings: tuple[str, ...]) -> None:
    """The artefact is written once everything else has worked; the report after it. Raises CommandError."""
    say(f"fitting {len(outcomes):,} rows, {len(outcomes.pools)} pools")
    fitted = fit(outcomes, order.seed)
    trial, unseen = _examined(order, outcomes, others, fitted)
    facts = Facts(fitted.model.version, tuple(map(str, order.files)), warnings, fitted.notes)
    findings = findings_of(outcomes, facts, trial, unseen, order.seed)
    html = page(findings) if order.report else ""
    try:
        write(order.output, outcomes.pools, fitted.parts, fitted.about)
    except OSError as fault:
        raise CommandError(f"{order.output}: can't be written: {fault.strerror}", exit_code=2) from None
    if order.report:
        with whole_file(order.report) as file:
            file.write(html.encode("utf-8", "replace"))
        say(f"report: {order.report}")
    console().print(view(findings))
    size_kb = order.output.stat().st_size / 1000
    print(printable(f"{summary(findings)}; wrote {order.output} ({size_kb:,.0f} kB)"))


def _examined(order: Order, outcomes: Outcomes, others: Outcomes | None, fitted: Fitted) -> tuple[Trial, Verdict | None]:
    """How the choice does on prompts that it was not fitted on, and on unseen domains."""

    def again(part: Outcomes) -> Predictor:
        return fit(part, order.seed).model

    if others is not None:
        trial = trial_on(others, outcomes, fitted.model, order.evaluate, say)
    elif order.evaluate == SPLIT:
        trial = trial_by_split(outcomes, again, order.seed, say)
    else:
        trial = trial_by_folds(outcomes, again, order.seed, say)
    return trial, trial_unseen(outcomes, again, order.seed, say)
