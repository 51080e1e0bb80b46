"""What libraries are told: before they are imported by the environment, and then to be quiet."""

import os

# A variable that is set already is kept.
ENVIRONMENT = {
    # Small models run best on one thread a process.
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # A search does not phone home.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    # Standard output is for results.
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
}


def set_environment() -> None:
    """Variables that torch and others read when they are imported, for this process and all that it starts."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def silence_libraries() -> None:
    """Progress bars and advice of the libraries would drown ours; what they log goes to the run's log file."""
    import warnings

    import datasets
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    warnings.filterwarnings("ignore")
