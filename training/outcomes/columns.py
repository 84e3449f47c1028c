"""Where a file keeps what training needs: the user's words for it, and what they come to for one file's columns. Pure."""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

_QUALITY, _COST, _TOKENS = "quality:", "cost_usd:", "output_tokens:"
# Endings that people's own columns of outcomes carry; the rest of such a name is the pool's.
_ENDINGS = ("correct", "quality", "score", "win_rate", "acc", "accuracy", "label", "passed")


class BadColumns(ValueError):
    """The file's columns don't hold what is asked for. One line per fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Columns:
    """What the user says of foreign files; the defaults read our own form.

    quality, cost_usd, output_tokens   pool → column; a cost may be a number of USD for every answer. With one * in both, every
                                       column of that form: * → *_correct
    quality_column                     of the long form: a row per prompt and pool
    renamed                            name of a pool in the file → its name in Headgate
    scale                              lowest and highest quality in the files; both become 0 and 1
    """

    prompt: str = "prompt"
    domain: str = ""
    pool: str = "pool"
    quality_column: str = "quality"
    quality: Mapping[str, str] = field(default_factory=dict)
    cost_usd: Mapping[str, str] = field(default_factory=dict)
    output_tokens: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    scale: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where one file keeps it. Wide: `quality` and the rest have a column per pool. Long: the column `pool` tells the pool.

    An empty `domain`, `pool` or long column: there is none.
    """

    prompt: str
    domain: str
    quality: Mapping[str, str]
    cost_usd: Mapping[str, str]
    output_tokens: Mapping[str, str]
    fixed_cost_usd: Mapping[str, float]
    pool: str = ""
    long_quality: str = ""
    long_cost: str = ""
    long_tokens: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read of the file."""
        named = (self.prompt, self.domain, self.pool, self.long_quality, self.long_cost, self.long_tokens)
        figures = (*self.quality.values(), *self.cost_usd.values(), *self.output_tokens.values())
        return tuple(dict.fromkeys(filter(None, (*named, *figures))))


def layout_of(columns: Sequence[str], told: Columns) -> Layout:
    """Raises BadColumns with every fault, what is there instead and which option would say so."""
    faults = [f'column "{name}" is there twice' for name in dict.fromkeys(columns) if name and columns.count(name) > 1]
    told = replace(
        told,
        quality=_expanded(told.quality, columns),
        cost_usd=_expanded(told.cost_usd, columns),
        output_tokens=_expanded(told.output_tokens, columns),
    )
    faults += _absent(columns, told)
    quality = {name.removeprefix(_QUALITY): name for name in columns if name.startswith(_QUALITY)} | dict(told.quality)
    is_long = not quality and told.pool in columns and told.quality_column in columns
    if not quality and not is_long:
        faults.append(_no_quality(columns, told))
    fixed, priced = _costs(columns, told, faults)
    if faults:
        raise BadColumns(faults)
    domain = told.domain or ("domain" if "domain" in columns else "")
    tokens = _prefixed(columns, _TOKENS) | dict(told.output_tokens)
    if is_long:
        cost = "cost_usd" if "cost_usd" in columns else ""
        long_tokens = "output_tokens" if "output_tokens" in columns else ""
        return Layout(told.prompt, domain, {}, {}, {}, fixed, told.pool, told.quality_column, cost, long_tokens)
    return Layout(told.prompt, domain, quality, _prefixed(columns, _COST) | priced, tokens, fixed)


def _expanded(named: Mapping[str, str], columns: Sequence[str]) -> dict[str, str]:
    """Patterns replaced by the columns that they fit; one that fits none stays, and is found to be absent."""
    found: dict[str, str] = {}
    for pool, column in named.items():
        if pool.count("*") != 1 or column.count("*") != 1:
            found[pool] = column
            continue
        before, after = column.split("*")
        longest = len(before) + len(after)
        fits = [name for name in columns if name.startswith(before) and name.endswith(after) and len(name) > longest]
        found |= {pool.replace("*", name[len(before) : len(name) - len(after)]): name for name in fits} or {pool: column}
    return found


def _prefixed(columns: Sequence[str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): name for name in columns if name.startswith(prefix)}


def _costs(columns: Sequence[str], told: Columns, faults: list[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Costs that are a number, and those that are a column."""
    fixed: dict[str, float] = {}
    priced: dict[str, str] = {}
    for pool, said in told.cost_usd.items():
        if said in columns:
            priced[pool] = said
            continue
        value = _number(said)
        if value is None:
            faults.append(f'--cost {pool}={said}: "{said}" is neither a column nor a number of USD; {_there(columns)}')
        elif not 0 <= value < math.inf:
            faults.append(f"--cost {pool}={said}: a cost is 0 or more")
        else:
            fixed[pool] = value
    return fixed, priced


def _absent(columns: Sequence[str], told: Columns) -> list[str]:
    """Columns that the user, or the default, names and the file lacks."""
    faults = []
    if told.prompt not in columns:
        hint = _meant(told.prompt, columns, ("question", "instruction", "messages", "query", "input", "text"))
        option = f"; if the prompts are in it, add --prompt-column {_quoted(hint)}" if hint else ""
        faults.append(f'no column "{told.prompt}"; {_there(columns)}{option}')
    if told.domain and told.domain not in columns:
        faults.append(f'no column "{told.domain}" (--domain-column); {_there(columns)}')
    for option, named in (("--quality", told.quality), ("--tokens", told.output_tokens)):
        for pool, column in named.items():
            if column not in columns:
                hint = _meant(column, columns)
                meant = f'; did you mean "{hint}"?' if hint else ""
                faults.append(f'no column "{column}" ({option} {pool}={column}); {_there(columns)}{meant}')
    return faults


def _no_quality(columns: Sequence[str], told: Columns) -> str:
    there = _there(columns)
    if told.pool in columns:
        hint = _meant(told.quality_column, columns, ("score", "correct", "label"))
        option = f"; did you mean --quality {_quoted(hint)}?" if hint else ""
        return f'a column "{told.pool}" but no column "{told.quality_column}" beside it; {there}{option}'
    likely = _looks_like_quality(columns)
    options = [f"--quality {_quoted(f'{pool}={column}')}" for column, pool in likely]
    endings = {column.removeprefix(pool) for column, pool in likely}
    if len(likely) > 4 and len(endings) == 1:
        options = [f"--quality '*=*{endings.pop()}'"]
    listed = " ".join(options[:4]) + (" …" if len(options) > 4 else "")
    hint = f"; did you mean {listed}?" if options else "; say which columns hold it: --quality 'POOL=COLUMN'"
    return f'no column "quality:POOL" and no columns "pool" and "quality"; {there}{hint}'


def _looks_like_quality(columns: Sequence[str]) -> list[tuple[str, str]]:
    """(column, pool) of columns whose names end as outcomes often do: mixtral_correct, gpt-4|score."""
    found = []
    for column in columns:
        for ending in _ENDINGS:
            if column.lower().endswith(ending) and (pool := column[: -len(ending)].rstrip("_-|: .")):
                found.append((column, pool))
                break
    return found


def _meant(name: str, columns: Sequence[str], usual: Sequence[str] = ()) -> str:
    close = difflib.get_close_matches(name.lower(), [column.lower() for column in columns], n=1, cutoff=0.7)
    wanted = [*close, *usual]
    return next((column for word in wanted for column in columns if column.lower() == word), "")


def _there(columns: Sequence[str]) -> str:
    named = ", ".join(f'"{_cut(name)}"' for name in columns[:12])
    more = f" and {len(columns) - 12} more" if len(columns) > 12 else ""
    return f"there are: {named}{more}"


def _cut(name: str) -> str:
    """A file without a header has prompts for column names."""
    return name if len(name) <= 40 else f"{name[:40]}…"


def _quoted(text: str) -> str:
    plain = text.replace("_", "").replace("-", "").replace("=", "").replace(":", "").isalnum()
    return text if plain else "'" + text.replace("'", "'\\''") + "'"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
