"""Seeds from names: the same test, the same numbers, on every machine."""

from __future__ import annotations

import hashlib


def seed_of(*parts: str) -> int:
    """A seed in [0, 2**31) that depends on nothing but `parts`."""
    return (
        int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=4).digest(), "big")
        >> 1
    )
