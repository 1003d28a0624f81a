"""The sentence that says why, out of what runtimes print."""

from __future__ import annotations

import pytest

from pytest_modelport.isolation.told import told

PRINTED = {
    "executorch": (
        "[kernel_ops_util.cpp:620] Check failed (pad[i] >= 0): Padding values must be positive\n"
        "[method.cpp:1395] KernelCall failed at instruction 0:1: 0x12\n"
        'Traceback (most recent call last):\n  File "x.py", line 1\nRuntimeError: error 0x12\n',
        "Check failed (pad[i] >= 0): Padding values must be positive",
    ),
    "rust": (
        "thread '<unnamed>' (12) panicked at core/src/ops/array.rs:12:5:\n"
        "ndarray: could not broadcast\nstack backtrace:\n   0: rust_begin_unwind\n",
        "ndarray: could not broadcast",
    ),
    "c++": (
        "terminate called after throwing an instance of 'std::runtime_error'\n"
        "  what():  no such layer\n",
        "no such layer",
    ),
    "nothing": ("loading\nwarming up\n", ""),
    "a traceback alone": ("Traceback (most recent call last):\nValueError: an error\n", ""),
}


@pytest.mark.parametrize("name", PRINTED)
def test_the_first_line_that_says_why(name):
    printed, said = PRINTED[name]
    assert told(printed) == said


def test_a_long_one_is_cut():
    assert told(f"error: {'x' * 300}").endswith("...")
    assert len(told(f"error: {'x' * 300}")) == 160
