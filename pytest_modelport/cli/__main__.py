"""`python -m pytest_modelport.cli`."""

import sys

from pytest_modelport.cli.main import main

sys.exit(main())
