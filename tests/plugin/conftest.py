"""Test files that a user would write, run by a pytest of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import _pytest.pytester
import pytest

HEADER = """
import pytest, torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
    def forward(self, x):
        return self.linear(x)

class Branch(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x - 1

def portable(*targets, **keywords):
    return pytest.mark.portable(targets=list(targets), **keywords)
"""


class OwnModulesOnly:
    """In place of pytester's snapshot of `sys.modules`, which forgets torch after every run; it
    cannot be imported twice.
    """

    def __init__(self, preserve: object = None) -> None:
        self._before = set(sys.modules)

    def restore(self) -> None:
        for name in set(sys.modules) - self._before:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and Path(file).name in ("test_it.py", "conftest.py"):
                del sys.modules[name]


@pytest.fixture
def keep_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pytest.pytester, "SysModulesSnapshot", OwnModulesOnly)


@pytest.fixture
def pytester(keep_modules: None, pytester: pytest.Pytester) -> pytest.Pytester:
    return pytester


@pytest.fixture
def run(pytester: pytest.Pytester):
    """Write a test file (the header is added) and run pytest on it in this process."""

    def make(
        body: str, *options: str, conftest: str = "", ini: str = "", inline: bool = True
    ) -> pytest.RunResult:
        pytester.makepyfile(test_it=HEADER + body)
        if conftest:
            pytester.makeconftest(conftest)
        if ini:
            pytester.makeini(f"[pytest]\n{ini}")
        arguments = ("-p", "no:cacheprovider", "-p", "no:randomly", *options)
        return (
            pytester.runpytest_inprocess(*arguments)
            if inline
            else pytester.runpytest_subprocess(*arguments)
        )

    return make
