"""Text to scores: normalising, the network's training and evaluation, its export, the engine that serves it, the weights.

The run time (`models.engine` and what it imports) needs ONNX Runtime, tokenizers and numpy only. `models.training` and
`models.export` need the `train` extra.

The libraries beneath tell nobody what they are used for. ONNX Runtime from 1.29 on sends what sessions it makes to Microsoft,
from Linux too, unless ORT_DISABLE_TELEMETRY is set by the time that it is loaded; the Hugging Face hub counts who asks it,
unless HF_HUB_DISABLE_TELEMETRY is. Whoever sets these variables otherwise is heard.
"""

import os

for _name in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(_name, "1")
