"""`--portable-model`: models proven without a test file, each as if a portable test had been
written for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import ModuleType

import pytest

from pytest_modelport.plugin import model_test
from pytest_modelport.plugin.stash import NODE


class Models(pytest.Module):
    """A test module that is no file."""

    def _getobj(self) -> ModuleType:
        return model_test

    def _importtestmodule(self) -> ModuleType:
        return model_test


def prepare(config: pytest.Config) -> None:
    """Models are named as from the folder pytest was started in. Without files beside them nothing
    else is collected.
    """
    sys.path.insert(0, str(config.invocation_params.dir))
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = []


def collect(session: pytest.Session) -> Iterable[pytest.Item]:
    """The items of every model named on the command line."""
    node = Models.from_parent(session, path=session.config.rootpath / NODE, name=NODE, nodeid=NODE)
    return session.genitems(node)
