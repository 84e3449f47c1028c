"""Runs the tests in three processes, one after the other, and closes with one line that counts all.

Real vLLM gets a process of its own: its engines take memory and threads that they never give back. So does Kubernetes: its
tests move their process into a network of its own, and a user other than root can do that only when it starts.

    tools/run_tests.py [pytest argument]...
"""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / ".cache"
PARTS = {  # what pytest is told besides, the cheap first
    "all but Kubernetes and real vLLM": ["-m", "not kube and not vllm"],
    "Kubernetes": ["-m", "kube and not vllm", "-p", "tests.kube.cluster.network"],
    "real vLLM": ["-m", "vllm"],
}
NO_TEST_CHOSEN = 5  # pytest's exit code; right for one part when arguments name tests of another


def main(arguments: list[str]) -> int:
    counts: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for number, (part, chosen) in enumerate(PARTS.items()):
        print(f"\n==> Tests: {part}", flush=True)
        report = REPORTS / f"tests-{number}.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", *chosen, f"--junitxml={report}", *arguments]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if code < 0 or not report.exists():
            print(f"pytest ended with code {code} and left no report", flush=True)
            counts["failed"] += 1
            continue
        read(report, counts, skipped)
        if code not in (0, 1, NO_TEST_CHOSEN):
            counts["failed"] += 1
    close(counts, skipped)
    return 1 if counts["failed"] or not counts["passed"] else 0


def read(report: Path, counts: Counter[str], skipped: Counter[str]) -> None:
    """Adds a JUnit report's figures, and its reasons for skipping."""
    for case in ElementTree.parse(report).iter("testcase"):
        results = {result.tag: result for result in case}
        if "failure" in results or "error" in results:
            counts["failed"] += 1
        elif "skipped" in results:
            counts["skipped"] += 1
            skipped[results["skipped"].get("message", "no reason given")] += 1
        else:
            counts["passed"] += 1


def close(counts: Counter[str], skipped: Counter[str]) -> None:
    print()
    for reason, times in skipped.items():
        print(f"skipped {times} times: {reason}")
    print(f"total: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
