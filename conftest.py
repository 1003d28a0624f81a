"""What every test may use: a workspace whose clean room stays warm, and `prove`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_modelport.backends import requirements
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core.report import Report
from pytest_modelport.core.verdict import Verdict
from pytest_modelport.engine.resolve import functions_of, routes_of, transform_of

pytest_plugins = ["pytester", "tests.scripted"]

#: The targets this version is about.
TARGETS = ("onnx", "torchscript", "torch_export")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also what takes long: marked `full`")
    parser.addoption(
        "--complete", action="store_true", help="a package that is missing is a failure, not a skip"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: takes long; only with --full")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless it is asked for."""
    if not config.getoption("--full"):
        long = [item for item in items if item.get_closest_marker("full")]
        items[:] = [item for item in items if not item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=long)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Ctrl-C works in tests that send it, also where the run was started in the background with
    SIGINT ignored.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """One workspace for the process, so that torch is imported into one clean room once."""
    with Workspace(tmp_path_factory.mktemp("workspace"), keep="all") as made:
        yield made


@pytest.fixture
def needs(request: pytest.FixtureRequest) -> Callable[[Mapping[str, str]], None]:
    """Skips what needs a package that is missing (`REQUIRES`: import name -> requirement); fails it
    under `--complete`.
    """

    def check(requires: Mapping[str, str]) -> None:
        if missing := requirements.missing(requires):
            (pytest.fail if request.config.getoption("--complete") else pytest.skip)(
                f"not installed: {', '.join(missing)}"
            )

    return check


Prove = Callable[..., Report]


@pytest.fixture
def prove(workspace: Workspace) -> Prove:
    """`verify` in the shared workspace: the same arguments, with the targets first."""
    from pytest_modelport.engine import pipeline
    from pytest_modelport.engine.build_case import build_case
    from pytest_modelport.engine.versions import run_versions
    from pytest_modelport.request.options import Options

    def run(
        targets: Sequence[str],
        model: Any,
        args: Any = (),
        kwargs: Any = None,
        *,
        checks: Sequence[str] = ("parity", "weights"),
        artifact: Path | None = None,
        transforms: Sequence[Any] = ("none",),
        name: str = "",
        seed: int = 0,
        **options: Any,
    ) -> Report:
        functions = functions_of(map(transform_of, transforms))
        case = build_case(
            model,
            args,
            kwargs,
            Options(**options),
            functions=functions,
            name=name,
            seed=seed,
        )
        case = replace(case, artifact=artifact)
        verdicts: list[Verdict] = []
        for route in routes_of(targets, transforms, ("cpu",)):
            verdicts += pipeline.prove(workspace, case, route, checks)
        return Report(tuple(verdicts), run_versions())

    return run
