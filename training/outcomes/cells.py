"""One cell → a number or a prompt. Pure; knows nothing of files."""

import math

import orjson

# What people and programs write where nothing is known.
_MISSING = frozenset({"", "-", "na", "n/a", "nan", "null", "none"})
_WORDS = {"true": 1.0, "false": 0.0}
MISSING = math.nan


class BadCell(ValueError):
    """The cell holds something else; the text says what was expected."""


def number(cell: object, decimal_comma: bool) -> float:
    """A finite number; NaN where the cell is empty or says so. True and False are 1 and 0. Raises BadCell."""
    if cell is None:
        return MISSING
    if isinstance(cell, bool | int | float):
        value = float(cell)
    elif isinstance(cell, str):
        value = _spelled(cell.strip(), decimal_comma)
    else:
        raise BadCell("no number")
    if math.isinf(value):
        raise BadCell("infinite")
    return value


def _spelled(text: str, decimal_comma: bool) -> float:
    if text.lower() in _MISSING:
        return MISSING
    if (word := _WORDS.get(text.lower())) is not None:
        return word
    if decimal_comma and text.count(",") == 1:
        text = text.replace(",", ".")
    try:
        return float(text)
    except ValueError:
        raise BadCell("no number") from None


def prompt(cell: object) -> str:
    """Text, or a list of messages as its JSON. Raises BadCell for anything else and for what is empty."""
    if isinstance(cell, list) and all(isinstance(message, dict) for message in cell):
        # Parquet gives every message every key; those without a value were not there.
        told = [{key: value for key, value in message.items() if value is not None} for message in cell]
        if not told:
            raise BadCell("empty")
        try:
            return orjson.dumps(told).decode()
        except orjson.JSONEncodeError:
            raise BadCell("no text") from None
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        raise BadCell("empty")
    if not isinstance(cell, str):
        raise BadCell("no text")
    return cell


def name(cell: object) -> str:
    """A word for a domain or a pool; empty where nothing is said. Raises BadCell for lists and objects."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bool | int | float):
        return str(cell)
    raise BadCell("no text")
