"""What is said of files that can't be used: the place, what is wrong and what to do; never a whole prompt."""

import gzip
from pathlib import Path

import pytest

from training.outcomes.columns import Columns
from training.outcomes.faults import OutcomesRefused
from training.outcomes.reading import read_outcomes

GOOD = "prompt,quality:a\nx,1\n"
UTF16 = GOOD.encode("utf-16")
DAMAGED = gzip.compress(GOOD.encode() * 50)[:-20]


def said(file: Path, told: Columns | None = None) -> str:
    with pytest.raises(OutcomesRefused) as refused:
        read_outcomes([file], told or Columns())
    return str(refused.value).replace(f"{file}: ", "")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("o.csv", b"", "is empty"),
        ("o.csv.gz", b"", "is empty"),
        ("o.jsonl", b"\n \n", "is empty"),
        ("o.parquet", b"", "is empty"),
        ("o.csv", b"prompt,quality:a\n", "has no rows under its header"),
        ("o.xlsx", b"PK", "its name ends in .xlsx; can be read: .csv, .tsv, .jsonl"),
        ("o.xlsx", b"PK", "save the sheet as CSV UTF-8"),
        ("outcomes", b"x", "its name has no ending; can be read: .csv"),
        ("o.csv", b"PK\x03\x04abc", "is a spreadsheet or a zip archive: save it as CSV UTF-8"),
        ("o.csv", b"PAR1abc", "is a Parquet file: name it .parquet"),
        ("o.csv", UTF16, "is UTF-16 text: save it as UTF-8"),
        ("o.csv", gzip.compress(GOOD.encode()), "is compressed by gzip, but not named .gz"),
        ("o.csv.gz", GOOD.encode(), "is named .gz, but not compressed by gzip"),
        ("o.csv.gz", DAMAGED, "the compressed data is damaged or cut short"),
        ("o.pq.gz", gzip.compress(b"PAR1" * 9)[:-9], "the compressed data is damaged or cut short"),
        ("o.parquet", b"PAR1 and then nothing of it PAR1", "is damaged Parquet, or of a kind that polars can't read"),
        ("o.parquet", GOOD.encode(), "is not Parquet"),
        ("o.csv", b'{"prompt": "x"}\n', "looks like JSON, a line each: name it .jsonl"),
        ("o.jsonl", b'[{"prompt": "x"}]', "is one JSON array; an object per line is needed"),
        ("o.jsonl", b'{"prompt": "x", "quality:a": 1}\n{"prompt": \n', "line 2 is not JSON: "),
        ("o.jsonl", b'"x"\n', 'line 1 is not an object: "x"'),
        ("o.csv", "prompt,quality:a\ncaf\u00e9,1\n".encode("latin-1"), "line 2 is not UTF-8 (byte 4 of it is 0xe9)"),
        ("o.csv", b'prompt,quality:a\nx,1\n"y,0\nz,1\n', "row 3 (line 3): a quote is opened and never closed"),
        ("o.csv", b'prompt,quality:a\n"x"y,1\n', "row 2 (line 2): text follows a closing quote"),
        ("o.csv", b'prompt,quality:a\n"x\ny",1,2\nz,1\nw\n', "row 2 has 3 cells, the header has 2\nrow 4 has 1 cells"),
        ("o.csv", b"prompt,quality:a,quality:a\nx,1,1\n", 'column "quality:a" is there twice'),
        ("o.csv", b"prompt,quality:a\nx,inf\n", 'column "quality:a", row 2: "inf" is infinite'),
        ("o.jsonl", b'{"prompt": 5, "quality:a": 1}', 'column "prompt", line 1: is neither text nor a list of messages'),
        ("o.jsonl", b'{"prompt": [], "quality:a": 1}', 'column "prompt", line 1: is empty'),
        ("o.csv", b"prompt,quality:a,cost_usd:a\nx,1,-2\n", 'column "cost_usd:a", row 2: is below 0: cost_usd can\'t be'),
        ("o.csv", b"prompt,pool,quality\nx,,1\n", 'column "pool", row 2: is empty'),
        (
            "o.csv",
            b"prompt,quality:a\n" + b"".join(b"x%d,%s\n" % (at, (b"7", b"1", b"10")[at % 3]) for at in range(9)),
            'column "quality:a", rows 2, 4, 5 and 3 more: is outside of 0…1; the column runs from 1 to 10; '
            "if it was judged on such a scale, add --scale 1:10",
        ),
        (
            "o.csv",
            b"prompt,quality:a\nx,0.5\ny,good\nz,1\nv,bad\nw,fine\nu,odd\n",
            'column "quality:a", rows 3, 5, 6 and 1 more: is no number: first "good"',
        ),
        (
            "o.csv",
            b"prompt,quality:a\n" + b'x,"' + b"a very long secret prompt " * 40 + b'"\n',
            'column "quality:a", row 2: "a very long secret promp…" is no number',
        ),
        (
            "o.csv",
            b"question,gpt_correct,mix_correct\nx,1,0\n",
            'no column "prompt"; there are: "question", "gpt_correct", "mix_correct"; if the prompts are in it, '
            "add --prompt-column question\n"
            'no column "quality:POOL" and no columns "pool" and "quality"; there are: "question", "gpt_correct", '
            '"mix_correct"; '
            "did you mean --quality gpt=gpt_correct --quality mix=mix_correct?",
        ),
        ("o.csv", b"prompt,pool,score\nx,a,1\n", 'a column "pool" but no column "quality" beside it'),
        ("o.csv", b"prompt,pool,score\nx,a,1\n", "did you mean --quality score?"),
        ("o.csv", b"prompt,text\nx,a\n", "say which columns hold it: --quality 'POOL=COLUMN'"),
        ("o.csv", b"what is this,a prompt without header\nx,1\n", 'no column "prompt"'),
    ],
)  # fmt: skip
def test_bad_content(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert message in said(tmp_path / name)


def test_many_columns_of_one_form_are_suggested_by_a_pattern(tmp_path: Path) -> None:
    file = tmp_path / "o.csv"
    file.write_text("prompt," + ",".join(f"m{at}|correct" for at in range(20)) + "\n")
    assert "and 9 more; did you mean --quality '*=*|correct'?" in said(file)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (Columns(prompt="promp"), 'no column "promp"; there are: "prompt", "quality:a"; if the prompts are in it, add '
                                  "--prompt-column prompt"),
        (Columns(domain="task"), 'no column "task" (--domain-column)'),
        (Columns(quality={"b": "quality:b"}), 'no column "quality:b" (--quality b=quality:b); there are: "prompt", '
                                              '"quality:a"; did you mean "quality:a"?'),
        (Columns(output_tokens={"a": "t"}), 'no column "t" (--tokens a=t)'),
        (Columns(cost_usd={"a": "cheap"}), '--cost a=cheap: "cheap" is neither a column nor a number of USD'),
        (Columns(cost_usd={"a": "-1"}), "--cost a=-1: a cost is 0 or more"),
        (Columns(cost_usd={"b": "1"}), '--cost b=1: no quality of a pool "b"'),
        (Columns(renamed={"b": "x"}), '--pool x=b: no pool "b" in the outcomes; there are: "a"'),
    ],
)  # fmt: skip
def test_bad_options(tmp_path: Path, told: Columns, message: str) -> None:
    (tmp_path / "o.csv").write_text(GOOD)
    assert message in said(tmp_path / "o.csv", told)


def test_two_pools_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("prompt,quality:a,quality:b\nx,1,0\n")
    assert said(tmp_path / "o.csv", Columns(renamed={"a": "b"})) == 'two pools would be named "b" (--pool)'


def test_no_file_and_a_directory(tmp_path: Path) -> None:
    assert said(tmp_path / "none.csv") == "no such file"
    assert said(tmp_path) == "is a directory; name the files in it"


def test_a_cell_that_swallows_the_file_is_a_quote_never_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.outcomes.csv_source.LONGEST_CELL_CHARS", 2000)
    (tmp_path / "o.csv").write_text('prompt,quality:a\nx,1\n"y,1\n' + "z,1\n" * 1000)
    assert "row 3 (line 3): a cell is longer than" in said(tmp_path / "o.csv")


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.outcomes.opening.LONGEST_LINE_BYTES", 1000)
    (tmp_path / "o.jsonl").write_text('{"prompt": "' + "x" * 2000)
    assert "line 1 is longer than" in said(tmp_path / "o.jsonl")
