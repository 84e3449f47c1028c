import json
from io import StringIO
from pathlib import Path

from rich.console import Console

from tests.bench.report import Report


def test_the_table_and_the_file_tell_the_same(tmp_path: Path) -> None:
    report = Report("name", "What was measured", seed=7, out_dir=tmp_path)
    report.row("ours [fast]", cores=0.0125, messages=1280, steady=True)
    report.row("baseline", cores=1.5, engine="x")
    report.published("theirs", "their paper", cores=0.955)
    assert report.aim("cores", 0.0125, at_most=0.05)
    assert not report.aim("messages", 1280, at_least=2000)
    report.note("a remark")
    screen = StringIO()
    path = report.finish(Console(file=screen, width=120))

    shown = screen.getvalue()
    for text in ("ours [fast]", "0.0125", "1,280", "yes", "–", "theirs (published)", "their paper", "· a remark", "seed 7"):
        assert text in shown, text
    assert "aim ≤ 0.05 cores: 0.0125, reached" in shown
    assert "aim ≥ 2000 messages: 1280, MISSED" in shown

    kept = json.loads(path.read_text())
    assert path == tmp_path / "name.json"
    assert kept["seed"] == 7
    assert kept["machine"]["cores"] >= 1
    assert kept["versions"]["numpy"]
    assert [row["kind"] for row in kept["rows"]] == ["measured", "measured", "published"]
    assert kept["rows"][0]["figures"] == {"cores": 0.0125, "messages": 1280, "steady": True}
    assert [aim["reached"] for aim in kept["aims"]] == [True, False]
