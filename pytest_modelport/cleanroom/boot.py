"""The first file a clean room runs. Makes this package importable, whatever interpreter runs it,
and nothing else of ours.

Started as a script, so the script's folder is on the path: it is removed, with the working
directory, so that neither the user's files nor our own modules can stand in for a package.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def _package() -> None:
    root = Path(__file__).resolve().parent.parent
    spec = importlib.util.spec_from_file_location(
        root.name, root / "__init__.py", submodule_search_locations=[str(root)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[root.name] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    sys.path[:] = [
        entry
        for entry in sys.path
        if entry not in ("", str(Path.cwd()), str(Path(__file__).resolve().parent))
    ]
    _package()
    from pytest_modelport.cleanroom.worker import main

    main(parent=int(sys.argv[1]))
