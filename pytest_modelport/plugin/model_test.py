"""The test that every model named with `--portable-model` gets."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_modelport.plugin.fixture import Modelport
from pytest_modelport.plugin.stash import SETTINGS

pytestmark = pytest.mark.portable


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each model."""
    models = metafunc.config.stash[SETTINGS].models
    metafunc.parametrize("model", models, ids=models)


def test_model(modelport: Modelport, model: Any) -> None:
    modelport(model)
