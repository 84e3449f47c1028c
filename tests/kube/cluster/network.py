"""A network of the test process's own, in which every address of 10.0.0.0/8 is this machine.

Pods of the test cluster get addresses of that range and have no kubelet: whatever a test starts can listen on a pod's address,
and reaches the others there, as in a real cluster. Nothing of it is seen outside, and nothing outside can be reached.

As a pytest plugin (`-p tests.kube.cluster.network`) it enters before anything else is imported. That matters to users other
than root: the kernel gives a user namespace only to a process without a second thread, and numpy starts one on its import.
"""

import contextlib
import ctypes
import functools
import os
import subprocess
import sys
from pathlib import Path

POD_NETWORK = "10.0.0.0/8"
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_entered: list[bool] = []
_BY_USER_NAMESPACE = "user namespace"
_LOOPBACK = 1  # the kernel gives `lo` this index in every network


def enter() -> None:
    """Moves this process into a new network, once; later calls do nothing. Raises OSError where that is not allowed.

    Threads that exist already stay where they are; later ones, and child processes, are inside.
    """
    if not _entered:
        _unshare()
        _wire_up()
        _entered.append(True)


@functools.cache
def why_not() -> str:
    """Why this process may not have a network of its own; empty where it may, or has."""
    if _entered:
        return ""
    tried = subprocess.run([sys.executable, "-I", "-S", __file__, "try"], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"this process may not have a network namespace of its own ({tried.stderr.strip()})"
    if tried.stdout.strip() == _BY_USER_NAMESPACE and len(os.listdir("/proc/self/task")) > 1:
        return f"a user other than root must enter the test network first: python -m pytest -p {__name__}, as `make test` does"
    return ""


def _unshare() -> str:
    """Returns by which right it was done."""
    try:
        _call_unshare(_CLONE_NEWNET)
        return "root"
    except PermissionError:
        user, group = os.geteuid(), os.getegid()
        _call_unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        return _BY_USER_NAMESPACE


def _call_unshare(flags: int) -> None:  # os.unshare came with Python 3.12
    if _libc.unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


def _wire_up() -> None:
    from pyroute2 import IPRoute  # not on a bare interpreter, which `why_not` runs

    with IPRoute() as routes:
        routes.link("set", index=_LOOPBACK, state="up")
        routes.route("add", dst=POD_NETWORK, oif=_LOOPBACK, type="local", scope="host", table=255)


def pytest_load_initial_conftests() -> None:
    """pytest's hook, for `-p`. Where it is not allowed the tests say so one by one, with the reason."""
    with contextlib.suppress(OSError):
        enter()


if __name__ == "__main__":
    try:
        print(_unshare())
    except OSError as error:
        sys.exit(error.strerror)
