"""The model under `torch.compile`, with proof that compiled graphs were run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pytest_modelport.backends.contract import Subject
from pytest_modelport.backends.kit.torch_session import TorchSession, callable_of
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda")
OPENS = ("torch_compile",)
EXTRA = ""
LIVE = True


#: More than the search has samples of other layouts, dtypes and sizes.
_RECOMPILATIONS = 64


class NothingCompiled(Exception):
    """A call in which no compiled graph ran: eager answered."""


class _Counting:
    """A dynamo backend that counts the graphs it compiled and the calls they got."""

    def __init__(self, backend: Callable[..., Any]) -> None:
        self._backend = backend
        self.graphs = self.calls = 0

    def __call__(self, graph: Any, inputs: Any) -> Callable[..., Any]:
        compiled = self._backend(graph, inputs)
        self.graphs += 1

        def run(*args: Any) -> Any:
            self.calls += 1
            return compiled(*args)

        return run


class CompiledSession:
    """Calls through `torch.compile`. Each must run at least one compiled graph."""

    def __init__(
        self, session: TorchSession, backend: _Counting, options: Mapping[str, Any]
    ) -> None:
        self._session, self._backend = session, backend
        self.options = {**session.options, **options}

    def prepare(self, feed: Feed) -> Callable[[], Any]:
        """The compiled call alone."""
        return self._session.prepare(feed)

    def run(self, feed: Feed) -> Answer:
        """One call. Raises `NothingCompiled` when eager gave the answer."""
        before = self._backend.calls
        answer = self._session.run(feed)
        if self._backend.calls == before:
            raise NothingCompiled(
                "torch.compile ran no compiled graph: eager answered "
                f"({self._backend.graphs} compiled so far)"
            )
        return answer


def open(
    folder: Path, manifest: Manifest, session_options: SessionOptions, subject: Subject
) -> CompiledSession:
    """Compile anew: nothing an earlier test compiled is reused. Graphs are compiled at the first
    call.
    """
    import torch
    from torch._inductor import config

    from pytest_modelport.subject.modules import placed

    options = json.loads((folder / manifest.entry).read_text())
    torch._dynamo.reset()
    config.compile_threads = 1  # a pool of workers would outlive this process
    # A deployment sees its inputs in one layout, the search in many: each is compiled anew, and
    # beyond eight dynamo leaves them to eager.
    for limit in ("recompile_limit", "cache_size_limit"):
        if hasattr(torch._dynamo.config, limit):
            setattr(torch._dynamo.config, limit, _RECOMPILATIONS)
    backend = _Counting(_backend(options))
    function = torch.compile(
        callable_of(placed(subject.module, session_options.device), manifest, subject),
        backend=backend,
        dynamic=options.get("dynamic"),
        fullgraph=options.get("fullgraph", False),
    )
    return CompiledSession(TorchSession(function, manifest, session_options), backend, options)


def _backend(options: Mapping[str, Any]) -> Callable[..., Any]:
    import torch

    name = options.get("backend", "inductor")
    if name == "inductor":
        wrapper: Callable[..., Any] = torch._TorchCompileInductorWrapper(
            options.get("mode"), None, options.get("dynamic")
        )
        return wrapper
    found: Callable[..., Any] = torch._dynamo.lookup_backend(name)
    return found
