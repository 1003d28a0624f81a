"""What verdicts are about beside the model: versions and the machine's kind."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from functools import cache

from pytest_modelport import __version__, shelf
from pytest_modelport.export import versions
from pytest_modelport.route import Route


@cache
def environment() -> Mapping[str, str]:
    """Versions the verdicts are about. Asked once: it reads the metadata of every package that may take part."""
    return {
        "pytest-modelport": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **versions(*_packages()),
    }


def about(route: Route, environment: Mapping[str, str]) -> dict[str, str]:
    """Those versions that one route is about."""
    target, transforms = shelf.target(route.target), [text.partition("(")[0] for text in route.transforms]
    items: list[object] = [shelf.format_(target.format), shelf.runtime(target.runtime)]
    items += [shelf.transform(name) for name in transforms if name in shelf.names("transforms")]
    others = set(_packages()) - {"torch", "numpy", *_named(items)}
    return {name: version for name, version in environment.items() if name not in others}


def _named(items: Iterable[object]) -> set[str]:
    """The packages that these need."""
    from packaging.requirements import Requirement

    return {Requirement(text).name for item in items for text in getattr(item, "REQUIRES", {}).values()}


def _packages() -> tuple[str, ...]:
    """Every package that an export, a transform or a port is made with, whoever brings it."""
    kinds = {"formats": shelf.format_, "runtimes": shelf.runtime, "transforms": shelf.transform, "libraries": shelf.library}
    items = [load(name) for kind, load in kinds.items() for name in shelf.names(kind)]
    return ("torch", *sorted(_named(items) - {"torch"}), "numpy")
