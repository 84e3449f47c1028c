"""vLLM's executors, made to end with the worker. Imported in vLLM's engine process, where the executor is built.

vLLM 0.32 leaves its engine process running when the process that started it is killed: it keeps the GPU, and on CPU a core.
Nothing else of ours runs in that process; the executor does, and is ours to choose, so the watch is set there.
"""

import multiprocessing
import os
import threading
from multiprocessing.process import BaseProcess

from vllm.v1.executor.abstract import Executor
from vllm.v1.executor.multiproc_executor import MultiprocExecutor
from vllm.v1.executor.uniproc_executor import UniProcExecutor


def end_with_parent() -> None:
    """Kills this process and its children when the process that started it is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait_and_end, args=(parent,), name="end-with-parent", daemon=True).start()


def _wait_and_end(parent: BaseProcess) -> None:
    parent.join()
    for child in multiprocessing.active_children():
        child.kill()
    # Not sys.exit: the main thread may be inside a model step, and there is nobody left to answer to.
    os._exit(1)


class EndingMultiprocExecutor(MultiprocExecutor):  # type: ignore[misc]
    def _init_executor(self) -> None:
        end_with_parent()
        super()._init_executor()


class EndingUniProcExecutor(UniProcExecutor):  # type: ignore[misc]
    def _init_executor(self) -> None:
        end_with_parent()
        super()._init_executor()


ENDING: dict[type[Executor], type[Executor]] = {
    MultiprocExecutor: EndingMultiprocExecutor,
    UniProcExecutor: EndingUniProcExecutor,
}


def ending(executor: type[Executor]) -> type[Executor]:
    """The same executor, ended with the worker. Others (Ray's, a user's own) look after their processes themselves."""
    return ENDING.get(executor, executor)
