"""One readable log of many programs: every line says whose it is. Owns the output stream; decides nothing."""

from collections.abc import Callable
from typing import TextIO

_COLOURS = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)
_OURS = "headgate"
_OURS_COLOUR = 1  # bold


class Log:
    """Lines like `[small/0]  text`, their prefixes coloured if `colour`. `gone` is called once, when the reader went away."""

    def __init__(self, stream: TextIO, *, colour: bool, width: int = 0, gone: Callable[[], None] = lambda: None) -> None:
        self._stream = stream
        self._colour = colour
        self._width = max(width, len(_OURS))
        self._gone = gone
        self._known: dict[str, int] = {_OURS: _OURS_COLOUR}

    def ours(self, text: str) -> None:
        """A line of `headgate up` itself."""
        self.line(_OURS, text)

    def line(self, source: str, text: str) -> None:
        prefix = f"[{source}]".ljust(self._width + 2)
        if self._colour:
            colour = self._known.setdefault(source, _COLOURS[(len(self._known) - 1) % len(_COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        try:
            self._stream.write(f"{prefix} {text}\n")
            self._stream.flush()
        except (BrokenPipeError, ValueError):  # `headgate up | head`, or a closed stream
            gone, self._gone = self._gone, lambda: None
            gone()
