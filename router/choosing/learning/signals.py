"""What can be told of an answer without anybody saying it, and how much each such sign counts. Pure.

An answer that nobody complained of is no sign: most callers never say anything, whether content or not, and those who say
something are no fair draw of them. To count silence as praise would teach every pool towards 1, the most asked one first.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b

from router.choosing.learning.learner import Occasion
from router.request import Request

ASKED_AGAIN_WITHIN_S = 60.0
REMEMBERED = 10_000


class Signal(Enum):
    """What was seen. Names are label values of metrics."""

    BROKE_FORM = "broke_form"  # ended by itself, and breaks the JSON schema or form that was asked for
    ESCALATED = "escalated"  # a cascade took its evidence for weak and asked the next pool
    ASKED_AGAIN = "asked_again"  # the same prompt came again in the same session, soon


@dataclass(frozen=True, slots=True)
class Lesson:
    """`weight` is against that of a caller's own verdict, 1."""

    score: float
    weight: float


# All three are bad, and unsure in growing measure: a broken form is a fact, though the caller may have had use for the content;
# a cascade's evidence is an estimate; who asks again may only want another wording.
_LESSONS = {
    Signal.BROKE_FORM: Lesson(0.0, 0.3),
    Signal.ESCALATED: Lesson(0.0, 0.2),
    Signal.ASKED_AGAIN: Lesson(0.0, 0.1),
}


def lesson(signal: Signal) -> Lesson:
    return _LESSONS[signal]


class AskedBefore:
    """Which answers of sessions are fresh enough to be asked for again. Keeps keyed digests of prompts, never their text."""

    def __init__(self, secret: bytes, within_s: float = ASKED_AGAIN_WITHIN_S, remembered: int = REMEMBERED) -> None:
        self._secret = secret
        self._within_s = within_s
        self._remembered = remembered
        self._answers: OrderedDict[bytes, tuple[float, Occasion]] = OrderedDict()

    def answered(self, request: Request, prompt: bytes, occasion: Occasion, now_s: float) -> None:
        """An answer ended well; `prompt` is all of what was asked."""
        if not request.session:
            return
        key = self._key(request, prompt)
        self._answers[key] = (now_s, occasion)
        self._answers.move_to_end(key)
        while len(self._answers) > self._remembered or now_s - next(iter(self._answers.values()))[0] > self._within_s:
            self._answers.popitem(last=False)

    def asks(self, request: Request, prompt: bytes, now_s: float) -> Occasion | None:
        """A request came: the answer it is not content with, if there is one. Told once."""
        if not request.session or not self._answers:
            return None
        when_s, occasion = self._answers.pop(self._key(request, prompt), (float("-inf"), None))
        return occasion if now_s - when_s <= self._within_s else None

    def _key(self, request: Request, prompt: bytes) -> bytes:
        digest = blake2b(key=self._secret, digest_size=16)
        for part in (request.tenant.encode("utf-8", "surrogatepass"), request.session.encode("utf-8", "surrogatepass"), prompt):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
        return digest.digest()
