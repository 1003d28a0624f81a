"""`python -m pytest_modelport`: the command `modelport`, also where another package owns that name
on the PATH.
"""

import sys

from pytest_modelport.cli.main import main

sys.exit(main())
