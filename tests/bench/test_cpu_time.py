import os
import subprocess
import sys

import pytest

from tests.bench.cpu_time import cpu_of, own_cpu, tree_cpu_s, tree_pids

SPIN = "import time\nwhile time.process_time() < 0.2: pass\nprint('spun', flush=True)\ninput()"


def test_the_work_of_a_child_counts_for_its_parent() -> None:
    shell = [sys.executable, "-c", f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {SPIN!r}])"]
    with subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        with cpu_of(parent.pid) as span:
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"spun\n"
        assert len(tree_pids(parent.pid)) == 2
        assert span.cpu_s >= 0.2
        assert span.us_per(2) == pytest.approx(span.cpu_s * 5e5)
        parent.communicate(b"\n")


def test_own_work_counts_and_waiting_does_not() -> None:
    with own_cpu() as span:
        sum(range(1_000_000))
    assert 0 < span.cpu_s <= span.wall_s * (os.cpu_count() or 1) + 0.1
    assert span.cores > 0


def test_a_process_that_is_gone_is_told() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    with pytest.raises(ProcessLookupError):
        tree_cpu_s(gone.pid)
