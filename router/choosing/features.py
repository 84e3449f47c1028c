"""What can be told about a request from a bounded look at its text: size, subject, form. Pure, and bounded for any prompt.

Owns reading the prompt; what follows from it is decided in `choose.py`. It looks at the last user message, 1 KiB from its start
and 1 KiB from its end, by whole words: the words that tell code from maths are few, and a set of words is met in one step.
"""

from dataclasses import dataclass

import orjson

from router.choosing import lexicon
from router.request import ChatPrompt, Prompt, Sampling, TextPrompt

WINDOW_BYTES = 1024
# A longer conversation is not parsed for its last message: its raw tail is looked at instead.
PARSE_LIMIT_BYTES = 64 * 1024
# Mean length of a chat answer where the caller sets no tighter limit; a trained estimate is to replace it.
EXPECTED_OUTPUT_TOKENS = 256

# Prose in Latin letters has about 4 letters a token; Han, kana, Hangul, Arabic, Cyrillic about 1.5 with common tokenizers.
_LATIN_CHARS_PER_TOKEN = 4.0
_OTHER_CHARS_PER_TOKEN = 1.5
_TEMPLATE_TOKENS_PER_TURN = 4

# One pass: letters to lower case, everything else of ASCII to a space, other bytes kept.
_WORDS_ONLY = bytes(byte if byte > 127 or chr(byte).isalnum() else 32 for byte in range(256)).lower()
_CONTINUATION = bytes(range(0x80, 0xC0))
# First bytes of UTF-8 letters beyond U+024F, without E2 (punctuation, symbols) and F0 (mostly emoji).
_OTHER_LETTERS = bytes((*range(0xC9, 0xE2), *range(0xE3, 0xF0)))


@dataclass(frozen=True, slots=True)
class Features:
    """prompt_tokens     estimated (exact for token prompts), tools included
    output_tokens     expected for one choice
    max_output_tokens what the caller allows, 0 where it sets no limit
    other_share       part of the letters, 0 to 1, that are not Latin
    constrained       an output form is asked for (JSON schema, grammar, choice, …)
    window            the text that was looked at, UTF-8, at most 2 KiB of characters; empty for a prompt of token ids
    """

    prompt_tokens: int
    output_tokens: int
    max_output_tokens: int = 0
    turns: int = 1
    other_share: float = 0.0
    code: bool = False
    maths: bool = False
    multi_step: bool = False
    question: bool = False
    constrained: bool = False
    tools: bool = False
    window: bytes = b""

    def without_text(self) -> "Features":
        """The same without the window, to be kept. Written out: dataclasses.replace takes five times as long."""
        return Features(
            self.prompt_tokens,
            self.output_tokens,
            self.max_output_tokens,
            self.turns,
            self.other_share,
            self.code,
            self.maths,
            self.multi_step,
            self.question,
            self.constrained,
            self.tools,
        )


def extract(prompt: Prompt, sampling: Sampling) -> Features:
    """Looks once. Never fails: what can't be read as a conversation is read as text."""
    if isinstance(prompt, ChatPrompt):
        text, chars, turns = _conversation(prompt.messages_json)
        tools_chars = len(prompt.tools_json)
    elif isinstance(prompt, TextPrompt):
        text, chars, turns, tools_chars = prompt.text, len(prompt.text), 1, 0
    else:
        return _sized(len(prompt.ids), sampling)
    window = _window(text)
    other_share = 0.0 if window.isascii() else _other_share(window)
    chars_per_token = _LATIN_CHARS_PER_TOKEN + other_share * (_OTHER_CHARS_PER_TOKEN - _LATIN_CHARS_PER_TOKEN)
    prompt_tokens = chars / chars_per_token + tools_chars / _LATIN_CHARS_PER_TOKEN + turns * _TEMPLATE_TOKENS_PER_TURN
    plain = window.translate(_WORDS_ONLY)
    words = set(plain.split())
    output_tokens, max_output_tokens = _output(sampling)
    return Features(
        prompt_tokens=int(prompt_tokens),
        output_tokens=output_tokens,
        max_output_tokens=max_output_tokens,
        turns=turns,
        other_share=other_share,
        code=_is_code(words, window),
        maths=not words.isdisjoint(lexicon.MATHS_WORDS),
        multi_step=len(words & lexicon.STEP_WORDS) >= 2 or (b"step" in words and lexicon.STEP_MARK in plain),
        question=b"?" in window or not words.isdisjoint(lexicon.QUESTION_WORDS),
        constrained=sampling.constraint is not None,
        tools=tools_chars > 2,
        window=window,
    )


def _sized(prompt_tokens: int, sampling: Sampling) -> Features:
    """A prompt of token ids: nothing but its size is known."""
    output_tokens, max_output_tokens = _output(sampling)
    constrained = sampling.constraint is not None
    return Features(prompt_tokens, output_tokens, max_output_tokens, constrained=constrained)


def _output(sampling: Sampling) -> tuple[int, int]:
    """Expected and largest number of output tokens."""
    largest = sampling.max_tokens or 0
    expected = min(EXPECTED_OUTPUT_TOKENS, largest) if largest else EXPECTED_OUTPUT_TOKENS
    return max(expected, sampling.min_tokens or 0), largest


def _conversation(messages_json: bytes) -> tuple[str, int, int]:
    """Text of the last user message, characters of all messages, number of messages."""
    if len(messages_json) <= PARSE_LIMIT_BYTES:
        try:
            messages = orjson.loads(messages_json)
        except orjson.JSONDecodeError:
            messages = None
        if isinstance(messages, list) and messages:
            return _parsed(messages)
    tail = messages_json[-WINDOW_BYTES:]
    text = tail.decode("utf-8", "ignore")
    chars = len(messages_json) * len(text) // max(len(tail), 1)
    return text, chars, max(messages_json[:WINDOW_BYTES].count(b'"role"') + tail.count(b'"role"'), 1)


def _parsed(messages: list[object]) -> tuple[str, int, int]:
    last, chars = "", 0
    for message in messages:
        if not isinstance(message, dict):
            continue
        content = message.get("content")
        text = content if isinstance(content, str) else _text_parts(content)
        chars += len(text)
        if message.get("role") == "user" or not last:
            last = text
    return last, chars, len(messages)


def _text_parts(content: object) -> str:
    """The text of a message in parts; pictures and sound are left out."""
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(part for part in parts if isinstance(part, str))


def _window(text: str) -> bytes:
    """Start and end of the text, at most 2 KiB of characters, as UTF-8."""
    if len(text) > 2 * WINDOW_BYTES:
        text = f"{text[:WINDOW_BYTES]}\n{text[-WINDOW_BYTES:]}"
    return text.encode("utf-8", "replace")


def _other_share(window: bytes) -> float:
    chars = len(window.translate(None, _CONTINUATION))
    others = len(window) - len(window.translate(None, _OTHER_LETTERS))
    return others / chars if chars else 0.0


def _is_code(words: set[bytes], window: bytes) -> bool:
    sure = not words.isdisjoint(lexicon.CODE_SURE_WORDS)
    return sure or len(words & lexicon.CODE_WORDS) >= 2 or lexicon.CODE_MARK in window
