"""The network in ONNX Runtime: logits of posts that are token ids already."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.batching import even_budget, token_batches
from models.manifest import MEND, WeightsError
from models.outputs import WIDTH
from models.processor import instructions


class Session:
    """One loaded network. For one thread at a time; threads of its own help it, each with batches of its own.

    No two threads share a batch: after each of a hundred operators they would wait for one another, which costs more than
    a last batch that one of them computes alone.
    """

    def __init__(self, path: Path, threads: int | None, token_budget: int) -> None:
        """`threads` None uses every core that this process may run on.

        Raises:
            WeightsError: ONNX Runtime can't load the file.
        """
        self._token_budget = token_budget
        self._threads = threads or available_cores()
        self._pool = ThreadPoolExecutor(self._threads, "model")
        try:
            self._session = onnxruntime.InferenceSession(path, _options(), providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base of their own
            raise WeightsError(f"{path} can't be loaded by ONNX Runtime {onnxruntime.__version__}: {MEND}") from error

    @property
    def runs_on(self) -> str:
        """What computes, for people: the library and what of the processor it can use."""
        return " ".join([f"onnxruntime {onnxruntime.__version__}", *instructions()])

    def logits(self, encoded: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(posts, WIDTH) in the order given."""
        result = np.empty((len(encoded), WIDTH), dtype=np.float32)
        lengths = [len(ids) for ids in encoded]

        def compute(positions: list[int]) -> None:
            result[positions] = self.run([encoded[position] for position in positions])

        batches = token_batches(lengths, even_budget(sum(lengths), self._token_budget, self._threads))
        if len(batches) == 1 or self._threads == 1:
            for positions in batches:
                compute(positions)
        else:
            for _ in self._pool.map(compute, batches):
                pass
        return result

    def run(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of one batch as it is."""
        lengths = np.array([len(ids) for ids in batch], dtype=np.int32)
        padded = np.zeros((len(batch), int(lengths.max())), dtype=np.int32)
        for row, ids in zip(padded, batch, strict=True):
            row[: len(ids)] = ids
        logits: NDArray[np.float32] = self._session.run(["logits"], {"ids": padded, "lengths": lengths})[0]
        return logits


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Every batch has another shape, and a memory plan for each would be kept for good.
    options.enable_mem_pattern = False
    return options
