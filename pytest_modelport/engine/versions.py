"""What verdicts are about beside the model: versions and the machine's kind."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from functools import cache

from pytest_modelport import __version__
from pytest_modelport.backends import registry
from pytest_modelport.backends.export import versions
from pytest_modelport.core.errors import BrokenItem
from pytest_modelport.core.route import Route


@cache
def run_versions() -> Mapping[str, str]:
    """Versions the verdicts are about. Asked once: it reads the metadata of every package that may
    take part.
    """
    return {
        "pytest-modelport": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **versions(*_packages()),
    }


def about(route: Route, environment: Mapping[str, str]) -> dict[str, str]:
    """Those versions that one route is about."""
    try:
        items = _items(route)
    except BrokenItem:
        items = []
    others = set(_packages()) - {"torch", "numpy", *_named(items)}
    return {name: version for name, version in environment.items() if name not in others}


def _items(route: Route) -> list[object]:
    """The format, the runtime and the transforms of a route. Raises `BrokenItem`."""
    target, known = registry.target(route.target), registry.names("transforms")
    transforms = [text.partition("(")[0] for text in route.transforms]
    return [
        registry.format_(target.format),
        registry.runtime(target.runtime),
        *(registry.transform(name) for name in transforms if name in known),
    ]


def _named(items: Iterable[object]) -> set[str]:
    """The packages that these need."""
    from packaging.requirements import Requirement

    return {
        Requirement(text).name for item in items for text in getattr(item, "REQUIRES", {}).values()
    }


def _packages() -> tuple[str, ...]:
    """Every package that an export, a transform or a port is made with, whoever brings it."""
    kinds = {
        "formats": registry.format_,
        "runtimes": registry.runtime,
        "transforms": registry.transform,
        "libraries": registry.library,
    }
    items = [load(name) for kind, load in kinds.items() for name in registry.sound(kind)]
    return ("torch", *sorted(_named(items) - {"torch"}), "numpy")
