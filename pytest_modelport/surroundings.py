"""What verdicts are about beside the model: versions and the machine's kind."""

from __future__ import annotations

import platform
from functools import cache

from pytest_modelport import __version__, shelf
from pytest_modelport.export import versions


def environment() -> dict[str, str]:
    """Versions the verdicts are about."""
    return {
        "pytest-modelport": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **versions(*_packages()),
    }


@cache
def _packages() -> tuple[str, ...]:
    """Every package that an export, a transform or a port is made with, whoever brings it."""
    from packaging.requirements import Requirement

    kinds = {"formats": shelf.format_, "runtimes": shelf.runtime, "transforms": shelf.transform, "libraries": shelf.library}
    items = [load(name) for kind, load in kinds.items() for name in shelf.names(kind)]
    wanted = {Requirement(text).name for item in items for text in getattr(item, "REQUIRES", {}).values()}
    return ("torch", *sorted(wanted - {"torch"}), "numpy")
