"""Settings that must be in the environment before torch or a Hugging Face library is imported.

The tests' subprocesses inherit them. A value that is set already is kept.
"""

import os

for name, value in {
    "OMP_NUM_THREADS": "1",  # one thread per process: sums are added in one order, and tests do not fight over cores
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",  # read by huggingface_hub, transformers and trl
    "MPLBACKEND": "Agg",
}.items():
    os.environ.setdefault(name, value)
