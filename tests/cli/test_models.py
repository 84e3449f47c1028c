from pathlib import Path

import pytest

from cli import models
from cli.errors import CommandError


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path))


def test_the_list_says_what_is_here_and_how_to_get_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    models.show_list()
    said = capsys.readouterr().out
    assert "SmolLM2-135M-Instruct" in said
    assert "bring it here: headgate models fetch SmolLM2-135M-Instruct" in said


def test_a_fetched_model_is_told_by_its_folder_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.fetching.model_store.path_of", lambda name: tmp_path)
    monkeypatch.setattr("cli.fetching.model_store.fetch", lambda name, report: tmp_path)
    models.fetch("SmolLM2-135M-Instruct")
    said = capsys.readouterr()
    assert said.out == f"{tmp_path}\n"
    assert "is here already" in said.err


def test_an_unknown_model() -> None:
    with pytest.raises(CommandError, match="No model 'gpt' is known") as caught:
        models.fetch("gpt")
    assert "SmolLM2-135M-Instruct" in caught.value.todo
