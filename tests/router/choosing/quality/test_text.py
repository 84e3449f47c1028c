import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.choosing.features import Features, extract
from router.choosing.quality import form
from router.choosing.quality.hashing import MASK, MULTIPLIER, VALUES, WORD, hash_word, powers
from router.choosing.quality.text import LOOKED_AT, read
from router.request import Sampling, TextPrompt

ROOT = Path(__file__).parents[4]
CODE = """
import hashlib
from router.choosing.features import extract
from router.choosing.quality.text import read
from router.request import Sampling, TextPrompt
text = read(extract(TextPrompt("Was kostet ein Kilo Äpfel?\\nA. 3\\nB. 4 これは何"), Sampling()))
print(hashlib.sha256(text.words.tobytes() + text.numbers.tobytes()).hexdigest())
"""


def features(text: str) -> Features:
    return extract(TextPrompt(text), Sampling())


def by_hand(words: list[bytes]) -> list[int]:
    """The hashes of words by whole numbers alone."""
    sums = (sum(int(VALUES[byte]) * pow(MULTIPLIER, at, MASK + 1) for at, byte in enumerate(word)) for word in words)
    return [total * int(WORD) & MASK for total in sums]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("Which", [b"which"]),
        ("  The CAT, the cat's 12 hats!  ", [b"the", b"cat", b"the", b"cat", b"s", b"12", b"hats"]),
        ("snake_case x=1", [b"snake", b"case", b"x", b"1"]),
        ("größer als", ["größer".encode(), b"als"]),
        ("何 cats日本", ["何".encode(), b"cats", "日".encode(), "本".encode()]),
        ("cats日", [b"cats", "日".encode()]),
    ],
)
def test_words_are_told_apart_and_hashed(text: str, words: list[bytes]) -> None:
    assert read(features(text)).words.tolist() == by_hand(words)


def test_a_word_has_one_hash_wherever_it_stands() -> None:
    words = read(features("lemon " * 60 + "lemon")).words
    assert set(words[:61].tolist()) == {hash_word(b"lemon")}
    assert len(words) == 61


@given(st.text(max_size=3000))
def test_any_text_is_read_within_its_bounds(text: str) -> None:
    seen = read(features(text))
    assert len(seen.words) <= LOOKED_AT
    assert seen.numbers.shape == (form.NUMBERS,)
    assert np.isfinite(seen.numbers).all()
    assert (seen.numbers >= 0).all()


def test_of_a_long_text_both_ends_are_seen_and_the_middle_is_not() -> None:
    words = set(read(features("alpha " + "x " * 5000 + "middle " + "x " * 5000 + "omega")).words.tolist())
    assert {hash_word(b"alpha"), hash_word(b"omega")} <= words
    assert hash_word(b"middle") not in words


def test_the_same_in_every_process_whatever_the_seed_of_its_hashes() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", CODE],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(told) == 1
    assert len(told.pop().strip()) == 64


def test_powers_wrap_round() -> None:
    assert powers(MULTIPLIER, 4).tolist() == [pow(MULTIPLIER, at, MASK + 1) for at in range(4)]


def test_the_form_counts_what_is_there() -> None:
    told = np.expm1(read(features("Is 12 + 345 more than 300?\nA. yes\nB. yes")).numbers)
    digits, lines, asked = told[2], told[4], told[5]
    assert (round(digits), round(lines), round(asked)) == (8, 2, 1)
    single = told[len(told) - 9 - 5 - 6 :]
    words, _, long, repeats, capitals, figures = single[:6]
    assert (round(words), round(long), round(capitals), round(figures)) == (10, 0, 3, 3)
    assert repeats == pytest.approx(1.0)  # one "yes" of ten words
    before, mean, least, greatest, _ = single[6:11]
    assert (round(before), round(mean, 3), round(least), round(greatest)) == (27, 6.5, 6, 7)


def test_asked_words_are_counted_by_their_class() -> None:
    plain = read(features("This is it")).numbers
    asked = read(features("This is NOT it")).numbers
    assert np.expm1(asked - plain)[23] == pytest.approx(1.0)
