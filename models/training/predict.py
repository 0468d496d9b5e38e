"""The torch network over many posts, and a line on how it does on the dev posts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from models.batching import token_batches
from models.evaluation.metrics import average_precision, macro_f1, quadratic_kappa
from models.outputs import INTENT, SENTIMENT, URGENCY, URGENT, WIDTH, Floats
from models.tokens import Tokens
from models.training.batches import pad
from models.training.data import Example
from models.training.network import Network
from schemas.labels import INTENTS, SENTIMENTS, URGENCIES

TOKEN_BUDGET = 4096


def fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware; elsewhere it's several times slower than float32."""
    flags = Path("/proc/cpuinfo").read_text(encoding="ascii") if Path("/proc/cpuinfo").exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


def predict(network: Network, examples: Sequence[Example], tokens: Tokens, rough: bool = False) -> Floats:
    """Logits (posts, WIDTH) in the examples' order; leaves the network in `.eval()`.

    In float32, or with `rough` in bfloat16 where that is faster: good enough for what a student learns from.
    """
    network.eval()
    encoded = tokens.encode([example.text for example in examples])
    logits = np.empty((len(examples), WIDTH), dtype=np.float32)
    for positions in token_batches([len(ids) for ids in encoded], TOKEN_BUDGET):
        ids, mask = pad([encoded[position] for position in positions])
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=rough and fast_bfloat16()):
            logits[positions] = network(ids, mask).float().numpy()
    return logits


def dev_scores(examples: Sequence[Example], logits: Floats) -> dict[str, float]:
    """By name, the four scores that networks are compared by."""
    intents, sentiments, urgencies, urgent = (
        np.array([getattr(example, name) for example in examples])
        for name in ("intent", "sentiment", "urgency", "urgent")
    )
    return {
        "intent F1": macro_f1(intents, logits[:, INTENT].argmax(1), len(INTENTS)),
        "sentiment F1": macro_f1(sentiments, logits[:, SENTIMENT].argmax(1), len(SENTIMENTS)),
        "urgency kappa": quadratic_kappa(urgencies, logits[:, URGENCY].argmax(1), len(URGENCIES)),
        "urgent average precision": average_precision(urgent, logits[:, URGENT].astype(float)),
    }


def dev_report(examples: Sequence[Example], logits: Floats) -> str:
    """One line for the training's log."""
    return " ".join(f"{name} {score:.3f}" for name, score in dev_scores(examples, logits).items())
