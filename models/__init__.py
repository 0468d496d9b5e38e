"""Text to scores: normalising, the network's training and evaluation, its export, the engine that serves it, the weights.

The run time (`models.engine` and what it imports) needs ONNX Runtime, tokenizers and numpy only. `models.training` and
`models.export` need the `train` extra.
"""
