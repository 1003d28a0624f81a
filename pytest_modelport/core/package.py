"""Where this package lies: the one place that says so."""

from pathlib import Path

#: The folder of `pytest_modelport`.
ROOT = Path(__file__).parent.parent
