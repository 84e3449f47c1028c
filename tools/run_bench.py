"""Runs one benchmark, tests/bench/NAME.py, in this process's place; without a name that exists it lists those that do.

tools/run_bench.py NAME [argument]...
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> None:
    files = sorted((ROOT / "tests" / "bench").glob("*.py"))
    benches = {file.stem: file for file in files if 'if __name__ == "__main__"' in file.read_text()}
    if not arguments or arguments[0] not in benches:
        print(f"Which benchmark? make bench NAME=...   there are: {', '.join(benches) or 'none yet'}", file=sys.stderr)
        sys.exit(2)
    bench = benches[arguments[0]]
    path = os.pathsep.join(map(str, (ROOT, ROOT / "proto", *filter(None, [os.environ.get("PYTHONPATH")]))))
    os.chdir(ROOT)
    os.execve(sys.executable, [sys.executable, str(bench), *arguments[1:]], os.environ | {"PYTHONPATH": path})


if __name__ == "__main__":
    main(sys.argv[1:])
