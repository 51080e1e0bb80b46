"""What Streamlit runs: `streamlit run entry.py -- RESULTS`; `tuition app` does so with the right settings."""

import sys
from pathlib import Path

from tuition.app.dashboard.main import run

run(Path(sys.argv[1]))
