"""Runs one Redis for `headgate up`: starts it, says in a ready file when it answers, and ends with it.

    python -m cli.stack.redis_child PROGRAM FOLDER SOCKET READY_FILE      the password is in HEADGATE_REDIS_PASSWORD

FOLDER holds what budgets have spent and outlives the process; one process at a time may have it.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.stack.redis_program import settings

ACCESS = "access.json"  # in FOLDER, for its owner alone: where the server listens now, and its password
_KNOWN = (b"Reading config from stdin", b"vm.overcommit_memory")  # said at every start; true of every laptop
_POLL_S = 0.02


def main(program: str, folder: Path, socket: Path, ready_file: Path) -> int:
    password = os.environ.pop("HEADGATE_REDIS_PASSWORD", "")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"{folder} is in use by another `headgate up` of the same file", flush=True)
            return 1
        socket.unlink(missing_ok=True)
        # Settings come by standard input, so that the password is in no file and no argument list.
        process = subprocess.Popen([program, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        if process.stdin is not None:
            process.stdin.write(settings(folder, socket, password).encode())
            process.stdin.close()
        if _answers(process, socket, password):
            _tell(folder / ACCESS, {"url": f"unix://{socket}", "password": password})
            _tell(ready_file, {"socket": str(socket), "pid": process.pid})
        for line in process.stdout or ():
            if not any(word in line for word in _KNOWN):
                print(line.decode(errors="replace"), end="", flush=True)
        code = process.wait()
        for left in (folder / ACCESS, socket):
            left.unlink(missing_ok=True)
        return code


def _tell(file: Path, said: dict[str, Any]) -> None:
    """All or nothing, and to nobody else."""
    unfinished = file.with_name(file.name + ".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        json.dump(said, stream)
    unfinished.replace(file)


def _answers(process: "subprocess.Popen[bytes]", socket: Path, password: str) -> bool:
    """Waits until it does, or has ended. Reading much data can take long; who started us bounds it."""
    with redis.Redis(unix_socket_path=str(socket), password=password, retry=Retry(NoBackoff(), 0)) as client:
        while process.poll() is None:
            try:
                client.ping()
                return True
            except redis.RedisError:
                time.sleep(_POLL_S)
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])))
