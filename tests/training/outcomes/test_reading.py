"""Files of outcomes → one table: every form and format that is read, and how rows come together."""

import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.training.invented import csv_text, rows
from training.outcomes.columns import Columns
from training.outcomes.faults import OutcomesRefused
from training.outcomes.reading import read_outcomes
from training.outcomes.table import Outcomes

WIDE = "prompt,domain,quality:a,quality:b,cost_usd:a,output_tokens:b\nx,d,1,0.5,0.01,7\ny,,0,,,\n"


def read(file: Path, text: str | bytes, told: Columns | None = None) -> Outcomes:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_outcomes([file], told or Columns())


def same(one: Outcomes, other: Outcomes) -> bool:
    figures = ("quality", "cost_usd", "output_tokens")
    equal = all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in figures)
    return equal and (one.prompts, one.pools, one.domain) == (other.prompts, other.pools, other.domain)


def test_wide(tmp_path: Path) -> None:
    table = read(tmp_path / "o.csv", WIDE)
    assert table.prompts == ("x", "y")
    assert table.pools == ("a", "b")
    assert table.domain == ("d", "")
    nan = np.nan
    np.testing.assert_array_equal(table.quality, [[1, 0.5], [0, nan]])
    np.testing.assert_array_equal(table.cost_usd, [[0.01, nan], [nan, nan]])
    np.testing.assert_array_equal(table.output_tokens, [[nan, 7], [nan, nan]])


@pytest.mark.parametrize(
    "text",
    [
        WIDE.replace("\n", "\r\n"),
        "\ufeff" + WIDE,
        WIDE.replace(",", ";"),
        WIDE.replace(",", ";").replace("0.5", "0,5").replace("0.01", "0,01"),
        WIDE.replace(",", "\t"),
        WIDE.replace("\n", "\n\n"),
        WIDE.replace("x,", '"x",').replace(",1,", ", 1 ,"),
        WIDE.replace(",1,", ",True,").replace("y,,0", "y,,false"),
        WIDE.replace("y,,0,,,", "y,,0,NaN,null,N/A"),
        WIDE[:-1],
    ],
    ids=["windows", "bom", "excel", "decimal commas", "tabs", "blank lines", "quotes", "true", "missing", "no last line end"],
)
def test_the_same_in_other_dress(tmp_path: Path, text: str) -> None:
    assert same(read(tmp_path / "o.csv", text), read(tmp_path / "plain.csv", WIDE))


def test_every_format_gives_the_same_table(tmp_path: Path) -> None:
    made = rows(60)
    by_csv = read(tmp_path / "o.csv", csv_text(made))
    jsonl = "".join(json.dumps(row) + "\n" for row in made)
    pl.DataFrame(made).write_parquet(tmp_path / "o.parquet")
    assert len(by_csv) == 60
    assert by_csv.pools == ("small", "large")
    assert same(read(tmp_path / "o.tsv", csv_text(made, separator="\t")), by_csv)
    assert same(read(tmp_path / "o.jsonl", jsonl), by_csv)
    assert same(read(tmp_path / "o.ndjson.gz", gzip.compress(jsonl.encode())), by_csv)
    assert same(read(tmp_path / "o.csv.gz", gzip.compress(csv_text(made).encode())), by_csv)
    assert same(read_outcomes([tmp_path / "o.parquet"], Columns()), by_csv)
    assert same(read(tmp_path / "o.pq.gz", gzip.compress((tmp_path / "o.parquet").read_bytes())), by_csv)


def test_nested_figures_of_json_are_columns(tmp_path: Path) -> None:
    text = json.dumps({"prompt": "x", "quality": {"a": True, "b": None}, "cost_usd": {"a": 0.5}, "extra": [1]})
    table = read(tmp_path / "o.jsonl", text)
    assert table.pools == ("a",)
    assert (table.quality[0, 0], table.cost_usd[0, 0]) == (1.0, 0.5)


def test_long_rows_of_a_prompt_come_together(tmp_path: Path) -> None:
    text = "prompt,pool,quality,cost_usd,domain\nx,a,1,0.1,\nx,b,0,0.2,d\ny,b,0.25,,\nx,a,0,0.3,\n"
    table = read(tmp_path / "o.csv", text)
    nan = np.nan
    assert table.prompts == ("x", "y", "x")
    np.testing.assert_array_equal(table.quality, [[1, 0], [nan, 0.25], [0, nan]])
    np.testing.assert_array_equal(table.cost_usd, [[0.1, 0.2], [nan, nan], [0.3, nan]])
    assert table.domain == ("d", "", "")
    assert table.groups.tolist() == [0, 1, 0]


def test_one_file_per_pool(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("prompt,quality:a\nx,1\ny,0\n")
    (tmp_path / "b.jsonl").write_text('{"prompt": "y", "pool": "b", "quality": 0.5}\n')
    table = read_outcomes([tmp_path / "a.csv", tmp_path / "b.jsonl"], Columns())
    np.testing.assert_array_equal(table.quality, [[1, np.nan], [0, 0.5]])


def test_repeated_prompts_of_a_wide_file_stay_rows_of_one_group(tmp_path: Path) -> None:
    table = read(tmp_path / "o.csv", "prompt,quality:a\nx,1\nX ,0\nx,1\n")
    assert len(table) == 3
    assert len(set(table.groups.tolist())) == 1


def test_rows_without_any_quality_are_left_out(tmp_path: Path) -> None:
    assert read(tmp_path / "o.csv", "prompt,quality:a\nx,1\ny,\n").prompts == ("x",)


def test_prompts_may_hold_line_ends_quotes_and_be_long(tmp_path: Path) -> None:
    long = "word " * 400_000
    table = read(tmp_path / "o.csv", f'prompt,quality:a\n"two\nlines, ""quoted""",1\n"{long}",0\n')
    assert table.prompts == ('two\nlines, "quoted"', long)


def test_a_prompt_may_be_a_conversation(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "why?"}]
    table = read(tmp_path / "o.jsonl", json.dumps({"prompt": messages, "quality:a": 1}))
    assert json.loads(table.prompts[0]) == messages
    pl.DataFrame({"prompt": [messages], "quality:a": [1.0]}).write_parquet(tmp_path / "o.parquet")
    assert json.loads(read_outcomes([tmp_path / "o.parquet"], Columns()).prompts[0]) == messages


def test_foreign_columns_are_named_on_the_way(tmp_path: Path) -> None:
    text = "question,task,m_correct,m_price,m_tokens,n_correct\nx,t,True,0.5,9,False\n"
    told = Columns(
        prompt="question", domain="task", quality={"m": "m_correct", "n": "n_correct"}, cost_usd={"m": "m_price", "n": "0.25"},
        output_tokens={"m": "m_tokens"}, renamed={"m": "moe"},
    )  # fmt: skip
    table = read(tmp_path / "o.csv", text, told)
    assert table.pools == ("moe", "n")
    assert table.cost_usd.tolist() == [[0.5, 0.25]]
    assert table.output_tokens[0, 0] == 9
    assert table.domain == ("t",)


def test_a_pattern_takes_every_such_column(tmp_path: Path) -> None:
    text = "prompt,m|correct,m|tokens,n|correct,correct\nx,1,5,0,1\n"
    table = read(tmp_path / "o.csv", text, Columns(quality={"*": "*|correct"}, output_tokens={"*": "*|tokens"}))
    assert table.pools == ("m", "n")
    assert table.output_tokens[0, 0] == 5


def test_a_scale_is_brought_to_0_to_1(tmp_path: Path) -> None:
    table = read(tmp_path / "o.csv", "prompt,quality:a\nx,1\ny,10\nz,5.5\n", Columns(scale=(1, 10)))
    assert table.quality[:, 0].tolist() == [0, 1, 0.5]


def test_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("prompt,quality:a\nx,good\n,1\n")
    (tmp_path / "b.csv").write_text("promt,quality:a\nx,1\n")
    with pytest.raises(OutcomesRefused) as refused:
        read_outcomes([tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.csv"], Columns())
    assert refused.value.faults == (
        f'{tmp_path}/a.csv: column "prompt", row 3: is empty; leave such rows out',
        f'{tmp_path}/a.csv: column "quality:a", row 2: "good" is no number',
        f'{tmp_path}/b.csv: no column "prompt"; there are: "promt", "quality:a"; if the prompts are in it, '
        "add --prompt-column promt",
        f"{tmp_path}/c.csv: no such file",
    )


def test_more_than_twenty_faults_are_counted(tmp_path: Path) -> None:
    text = "prompt,quality:a\n" + "x\n" * 33
    with pytest.raises(OutcomesRefused) as refused:
        read(tmp_path / "o.csv", text)
    said = str(refused.value).splitlines()
    assert len(said) == 21
    assert said[0].endswith("row 2 has 1 cells, the header has 2")
    assert said[-1] == "… and 13 more"


def test_each_read_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(WIDE)
    told: list[str] = []
    read_outcomes([tmp_path / "a.csv"], Columns(), told.append)
    assert told == [f"{tmp_path}/a.csv: 2 rows"]
