"""The packages that items need: which are not installed, and the command that installs them."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_modelport.backends.contract import Needy


def missing(requires: Mapping[str, str]) -> tuple[str, ...]:
    """The requirements (`REQUIRES`: import name -> requirement) whose package is not installed.
    Imports nothing.
    """
    return tuple(requirement for module, requirement in requires.items() if not _there(module))


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it
        return False


def lacking(*items: Needy) -> tuple[str, str]:
    """The requirements of these that are not installed, in words, and the command that installs
    them; empty when all are.
    """
    absent = {requirement: item for item in items for requirement in missing(item.REQUIRES)}
    if not absent:
        return "", ""
    extras = [extra for extra in dict.fromkeys(item.EXTRA for item in absent.values()) if extra]
    wanted = f"'pytest-modelport[{','.join(extras)}]'" if extras else " ".join(map(repr, absent))
    return ", ".join(absent), f"pip install {wanted}"
