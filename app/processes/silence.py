"""Quiet libraries: what they log goes to a run's log file, not to the terminal."""


def silence_libraries() -> None:
    """Progress bars and advice of the libraries would drown ours; what they log goes to the run's log file."""
    import warnings

    import datasets
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    warnings.filterwarnings("ignore")
