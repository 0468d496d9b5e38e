"""What ``make bench-model`` compares the engine with: what a user would write without plaint."""

import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import transformers
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.torch import load
from tokenizers import Tokenizer

from models.export import float32_graph
from models.training.bases import MINILM, MPNET, Base

BATCH = 64
MAX_TOKENS = 128
"""Both sides read as much of a post; the rivals leave out what follows."""
LABELS = 5
SEED = 20

Rival = Callable[[Sequence[str]], object]
"""Labels these posts."""


def pipeline(base: Base) -> tuple[Rival, str]:
    """``transformers.pipeline("text-classification", batch_size=64)`` in float32 on the encoder, and what it is.

    Where the encoder's package is not installed, one of the same shape with random weights stands in for it: it computes
    the same, if not the same labels.
    """
    torch.manual_seed(SEED)
    model = _untrained(base).eval()
    what = f"transformers {transformers.__version__} on torch {torch.__version__}, float32"
    try:
        tensors = load(base.read(base.packages, "model.safetensors"))
        prefix = model.base_model_prefix
        model.load_state_dict({f"{prefix}.{name}": tensor for name, tensor in tensors.items()}, strict=False)
        tokenizer = base.tokenizer()
    except (ImportError, ValueError):
        what += (
            f"; {base.name} is not installed ({base.mend}): random weights of its shape stand in, the work is the same"
        )
        tokenizer = MINILM.tokenizer()
    classify = transformers.pipeline(
        "text-classification", model=model, tokenizer=_fast_tokenizer(tokenizer), batch_size=BATCH
    )
    return lambda texts: classify(list(texts), truncation=True, max_length=MAX_TOKENS), what


def _untrained(base: Base) -> transformers.PreTrainedModel:
    sizes = {
        "vocab_size": base.shape.vocabulary,
        "hidden_size": base.shape.width,
        "num_hidden_layers": base.shape.layers,
        "num_attention_heads": base.shape.heads,
        "intermediate_size": base.shape.inner,
        "num_labels": LABELS,
    }
    if base is MPNET:
        config = transformers.MPNetConfig(
            **sizes, max_position_embeddings=514, relative_attention_num_buckets=base.shape.distances
        )
        return transformers.MPNetForSequenceClassification(config)
    return transformers.BertForSequenceClassification(transformers.BertConfig(**sizes))


def _fast_tokenizer(content: bytes) -> transformers.PreTrainedTokenizerFast:
    pad = next(name for name in ("[PAD]", "<pad>") if f'"{name}"'.encode() in content)
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(content)
        file.flush()
        return transformers.PreTrainedTokenizerFast(
            tokenizer_file=file.name, pad_token=pad, model_input_names=["input_ids", "attention_mask"]
        )


def plain_onnxruntime() -> tuple[Rival, str]:
    """MiniLM as ONNX Runtime's own tool makes it int8 (dynamic, its defaults), in arrival order, batches of 64."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(float32_graph(MINILM.network()))
        logging.getLogger().setLevel(logging.ERROR)  # it advises to optimise first, which plain use doesn't
        quantize_dynamic(source, target, op_types_to_quantize=["MatMul"], weight_type=QuantType.QInt8)
        session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_str(MINILM.tokenizer().decode())
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()

    def classify(texts: Sequence[str]) -> None:
        for start in range(0, len(texts), BATCH):
            encodings = tokenizer.encode_batch(list(texts[start : start + BATCH]))
            ids = np.array([encoding.ids for encoding in encodings], dtype=np.int32)
            lengths = np.array([sum(encoding.attention_mask) for encoding in encodings], dtype=np.int32)
            session.run(["logits"], {"ids": ids, "lengths": lengths})

    what = f"onnxruntime {onnxruntime.__version__}, int8 by quantize_dynamic (on AVX2 and later faster than float32)"
    return classify, what
