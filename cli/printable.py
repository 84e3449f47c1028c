"""Makes foreign text safe to print: no model's answer and no program's log may move the cursor, recolour or retitle a terminal.

Pure; the stripper keeps its place between calls, because an escape sequence may be cut by a token's end.
"""

from collections.abc import Iterator

_ESCAPE = "\x1b"
_BELL = "\x07"
_TO_END_OF_STRING = "]PX^_"  # after ESC: OSC, DCS, SOS, PM, APC carry a string
_C1_STRING = "\x90\x98\x9d\x9e\x9f"
_C1_CSI = "\x9b"
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# A string that is never closed must not swallow the rest of the answer.
_LONGEST_SEQUENCE = 256


class Stripper:
    """Feed text in pieces; get back what may be printed. Newlines and tabs stay, other control characters go."""

    def __init__(self) -> None:
        self._inside = ""  # "", "escape", "csi" or "string"
        self._length = 0

    def feed(self, text: str) -> str:
        return "".join(self._kept(text))

    def _kept(self, text: str) -> Iterator[str]:
        for char in text:
            if self._inside:
                self._skip(char)
            elif char == _ESCAPE:
                self._enter("escape")
            elif char == _C1_CSI:
                self._enter("csi")
            elif char in _C1_STRING:
                self._enter("string")
            elif _harmless(char):
                yield char

    def _enter(self, sequence: str) -> None:
        self._inside, self._length = sequence, 0

    def _skip(self, char: str) -> None:
        self._length += 1
        if char == _ESCAPE:
            self._enter("escape")
        elif self._inside == "escape" and char == "[":
            self._inside = "csi"
        elif self._inside == "escape" and char in _TO_END_OF_STRING:
            self._inside = "string"
        elif self._ends(char) or self._length >= _LONGEST_SEQUENCE:
            self._inside = ""

    def _ends(self, char: str) -> bool:
        if char == "\n":
            return True
        if self._inside == "string":
            return char in (_BELL, "\x9c")
        first_final = "@" if self._inside == "csi" else "0"
        return first_final <= char <= "~"


def _harmless(char: str) -> bool:
    if char in "\n\t":
        return True
    return char >= " " and not "\x7f" <= char <= "\x9f" and char not in _DIRECTION


def printable(text: str) -> str:
    """Whole text in, harmless text out."""
    return Stripper().feed(text)


class LineSplitter:
    """Bytes of a program's output in, whole harmless lines out. A progress bar's rewrites count as one line: its last state."""

    def __init__(self, longest_chars: int = 4000) -> None:
        self._rest = b""
        self._longest = longest_chars

    def feed(self, data: bytes) -> list[str]:
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > self._longest * 4:
            whole.append(self._rest)
            self._rest = b""
        return [self._clean(line) for line in whole]

    def close(self) -> list[str]:
        rest, self._rest = self._rest, b""
        return [self._clean(rest)] if rest else []

    def _clean(self, line: bytes) -> str:
        text = line.decode("utf-8", errors="replace").rstrip("\r").rsplit("\r", 1)[-1]
        return printable(text)[: self._longest]
