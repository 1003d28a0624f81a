"""The test that every model named with `--portable-model` gets."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_modelport.plugin.fixture import Modelport

pytestmark = pytest.mark.portable


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    from pytest_modelport.plugin.models import named

    named(metafunc)


def test_model(modelport: Modelport, model: Any) -> None:
    modelport(model)
