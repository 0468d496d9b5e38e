"""The network in ONNX Runtime: logits of posts that are token ids already."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.batching import token_batches
from models.manifest import MEND, WeightsError
from models.outputs import WIDTH


class Session:
    """One loaded network. For one thread at a time; ONNX Runtime's own threads help it."""

    def __init__(self, path: Path, threads: int | None, token_budget: int) -> None:
        """`threads` None uses every core that this process may run on.

        Raises:
            WeightsError: ONNX Runtime can't load the file.
        """
        self._token_budget = token_budget
        try:
            self._session = onnxruntime.InferenceSession(
                path, _options(threads or available_cores()), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's exceptions share no base of their own
            raise WeightsError(f"{path} can't be loaded by ONNX Runtime {onnxruntime.__version__}: {MEND}") from error

    def logits(self, encoded: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(posts, WIDTH) in the order given."""
        result = np.empty((len(encoded), WIDTH), dtype=np.float32)
        for positions in token_batches([len(ids) for ids in encoded], self._token_budget):
            result[positions] = self.run([encoded[position] for position in positions])
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


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Every batch has another shape, and a memory plan for each would be kept for good.
    options.enable_mem_pattern = False
    # Threads that spin between batches take the cores that Kafka clients and the other stages run on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
