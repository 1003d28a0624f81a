"""The same numbers for every route of a test, and after a rerun."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pytest_modelport.core.seeds import seed_of


@contextmanager
def seeded(*names: str) -> Iterator[None]:
    """Seed torch, NumPy and `random` from these names, and put all three back afterwards."""
    from pytest_modelport.core.tensors import restored_rng, seed_all

    with restored_rng():
        seed_all(seed_of(*names))
        yield
