"""The test cluster in the background, for a developer: `make kube-up` and `make kube-down`.

It is in this machine's network, so that every program can reach its API server; the addresses of its Pods answer nowhere.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.kube.cluster.cluster import Cluster, CommandFailed
from tests.kube.cluster.programs import ProgramEnded
from tests.kube.cluster.waiting import eventually

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / ".cache" / "kube"
LOCK, LOG, KUBECONFIG = FOLDER / "pid", FOLDER / "log", FOLDER / "kubeconfig"
OUR_CRDS = ROOT / "helm" / "crds"
START_LIMIT_S = 240.0
STOP_LIMIT_S = 30.0
GPU_NODES = 3


def up() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not runs():
        KUBECONFIG.unlink(missing_ok=True)
        with LOG.open("w") as log:
            command = [sys.executable, "-m", "tests.kube.cluster", "serve"]
            server = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        eventually(lambda: KUBECONFIG.exists() or server.poll() is not None, "a cluster", START_LIMIT_S)
        if not KUBECONFIG.exists():
            print(f"The cluster did not start:\n{LOG.read_text()}", file=sys.stderr)
            return 1
    print(KUBECONFIG.with_name("next-steps").read_text())
    return 0


def down() -> int:
    if runs():
        os.kill(int(LOCK.read_text()), signal.SIGTERM)
        eventually(lambda: not runs(), "the end of the cluster", STOP_LIMIT_S)
        print("The cluster is gone, and all that was in it.")
    else:
        print("No cluster is up.")
    return 0


def serve() -> int:
    """Holds the lock, whose file names this process, as long as the cluster runs."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    with LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        LOCK.write_text(str(os.getpid()))
        state = FOLDER / "state"
        shutil.rmtree(state, ignore_errors=True)
        with Cluster(state) as cluster:
            nodes = cluster.add_nodes(GPU_NODES)
            KUBECONFIG.with_name("next-steps").write_text(next_steps(cluster, nodes) + our_crds(cluster))
            shutil.copy(cluster.admin_kubeconfig, KUBECONFIG)
            try:
                while not signal.sigtimedwait((signal.SIGTERM, signal.SIGINT), 1.0):
                    for program in cluster.programs.values():
                        program.check()
            except ProgramEnded as ended:
                print(ended, flush=True)
                return 1
            finally:
                KUBECONFIG.unlink()
    return 0


def next_steps(cluster: Cluster, nodes: list[str]) -> str:
    programs = cluster.kit.folder / "bin"
    return (
        f"A Kubernetes control plane is up, with the nodes {', '.join(nodes)} of 8 GPUs each. Nothing really runs on them.\n\n"
        f"  export KUBECONFIG={KUBECONFIG}\n"
        f"  export PATH={programs}:$PATH     # kubectl and helm\n"
        f"  kubectl get nodes\n\n"
        f"Logs: {cluster.folder / 'logs'}. `make kube-down` ends it and forgets what was in it.\n"
    )


def our_crds(cluster: Cluster) -> str:
    """Installs them; what to say about it. Who works on them wants a cluster also when it refuses them."""
    if not OUR_CRDS.exists():
        return ""
    try:
        cluster.install_crds_from(OUR_CRDS)
    except CommandFailed as refused:
        return f"\nThe API server refused the CRDs of {OUR_CRDS}: {refused}\n"
    return f"The CRDs of {OUR_CRDS} are installed.\n"


def runs() -> bool:
    if not LOCK.exists():
        return False
    with LOCK.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


if __name__ == "__main__":
    sys.exit({"up": up, "down": down, "serve": serve}[sys.argv[1]]())
