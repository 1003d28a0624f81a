"""Subjects whose deployment goes wrong somewhere, and controls that look suspicious and are fine.

Each says what really becomes of it on each target, seen with plain export and runtime calls
(`benchmarks/bare.py` repeats that): `ok`, `wrong` (another answer), `no-export`, `no-run` (the
runtime refuses), `crash` (the process dies). `then` holds the samples that show it; targets that
are not listed are not claimed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.export import Dim
from torch.nn import functional as F

nan, inf = math.nan, math.inf


@dataclass(frozen=True)
class Fault:
    """A subject, the sample it is exported with, the samples that follow, and what becomes of it."""

    make: Callable[[], nn.Module]
    args: tuple[Any, ...]
    then: tuple[tuple[Any, ...], ...]
    shapes: Any
    expect: dict[str, str]

    def subject(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return self.make()


FAULTS: dict[str, Fault] = {}


def fault(
    name: str,
    make: Callable[[], nn.Module],
    args: tuple[Any, ...],
    *then: tuple[Any, ...],
    shapes: Any = None,
    **expect: str,
) -> None:
    FAULTS[name] = Fault(make, args, then, shapes, expect)


class Function(nn.Module):
    """A plain function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function


class One(Function):
    def forward(self, x):
        return self.function(x)


class Two(Function):
    def forward(self, x, y):
        return self.function(x, y)


class Three(Function):
    def forward(self, x, y, z):
        return self.function(x, y, z)


class Four(Function):
    def forward(self, x, y, z, w):
        return self.function(x, y, z, w)


def function(call: Callable[..., Any], arity: int = 1) -> Callable[[], nn.Module]:
    return lambda: (One, Two, Three, Four)[arity - 1](call).eval()


def module(kind: type[nn.Module], *args: Any, **kwargs: Any) -> Callable[[], nn.Module]:
    return lambda: kind(*args, **kwargs).eval()


def x(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


def t(*values: Any, dtype: torch.dtype | None = None) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype)


# --- control flow and baked values
# ------------------------------------------------------------------------------------------


class BranchOnSum(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x - 1


class LoopOverLength(nn.Module):
    def forward(self, x):
        state = torch.zeros_like(x[0])
        for step in range(x.shape[0]):
            state = torch.tanh(state + x[step])
        return state


class ShortOrLong(nn.Module):
    def forward(self, x):
        return x[:, :8].mean(1) if x.shape[1] > 8 else x.sum(1)


fault(
    "branch_on_sum",
    module(BranchOnSum),
    (torch.ones(3),),
    (-3 * torch.ones(3),),
    onnx="no-export",
    torch_export="no-export",
    torchscript="wrong",
    onnx_legacy="wrong",
    torchscript_script="ok",
    torch_compile="ok",
    aotinductor="no-export",
    openvino="wrong",
    **{"onnx:openvino": "no-export"},
)
fault(
    "loop_over_length",
    module(LoopOverLength),
    (x(4, 3),),
    (x(7, 3, seed=1),),
    shapes=({0: Dim.DYNAMIC},),
    onnx="no-export",
    torch_export="no-export",
    torchscript="wrong",
    onnx_legacy="wrong",
    torchscript_script="ok",
    torch_compile="ok",
    aotinductor="no-export",
    openvino="wrong",
    **{"onnx:openvino": "no-export"},
)
fault(
    "branch_on_length",
    module(ShortOrLong),
    (x(2, 5),),
    (x(2, 12, seed=1),),
    shapes=({1: Dim.AUTO},),
    onnx="wrong",
    torch_export="no-run",
    torchscript="wrong",
    onnx_legacy="wrong",
    torchscript_script="ok",
    torch_compile="ok",
    aotinductor="no-run",
    openvino="wrong",
    **{"onnx:openvino": "wrong"},
)
fault(
    "scale_read_as_number",
    function(lambda x: x / x.abs().max().item()),
    (t(1.0, 2.0, 4.0),),
    (t(1.0, 2.0, 8.0),),
    torch_export="ok",
    torchscript="wrong",
    onnx_legacy="wrong",
    torch_compile="ok",
    aotinductor="ok",
    openvino="wrong",
    **{"onnx:openvino": "ok"},
)
fault(
    "k_taken_from_a_short_example",
    function(lambda x: torch.topk(x, min(5, x.shape[1]), dim=1)[0]),
    (x(2, 3),),
    (x(2, 8, seed=1),),
    shapes=({1: Dim.AUTO},),
    torch_export="ok",
    torchscript="wrong",
    onnx_legacy="wrong",
    torch_compile="ok",
    aotinductor="ok",
    openvino="wrong",
    **{"onnx:openvino": "ok"},
)
fault(
    "dims_that_happened_to_agree",
    function(lambda x, y: x * y, 2),
    (x(4, 3), x(4, 3, seed=1)),
    (x(4, 3), x(1, 3, seed=2)),
    shapes=({0: Dim.DYNAMIC}, {0: Dim.DYNAMIC}),
    onnx="ok",
    torch_export="no-run",
    onnx_legacy="ok",
    torch_compile="ok",
    aotinductor="no-run",
    openvino="ok",
    **{"onnx:openvino": "ok"},
)
fault(
    "pooling_kernel_from_the_example",
    function(lambda x: F.adaptive_avg_pool2d(x, (3, 3))),
    (x(1, 2, 6, 6),),
    (x(1, 2, 8, 7, seed=1),),
    shapes=({2: Dim.AUTO, 3: Dim.AUTO},),
    onnx="wrong",
    torch_export="ok",
    onnx_legacy="no-export",
    torch_compile="ok",
    aotinductor="no-run",
    openvino="ok",
    **{"onnx:openvino": "wrong"},
)
fault(
    "mask_length_from_values",
    function(lambda lengths: torch.arange(int(lengths.max()))[None] < lengths[:, None]),
    (t(2, 3),),
    (t(2, 5),),
    onnx="ok",
    torch_export="no-export",
    torchscript="wrong",
    onnx_legacy="wrong",
    torch_compile="ok",
    aotinductor="no-export",
    openvino="wrong",
    **{"onnx:openvino": "ok"},
)

# --- state, aliasing, modes, randomness
# -------------------------------------------------------------------------------------


class CountsInBuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        self.seen += 1
        return x + self.seen


class CountsInAttribute(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.step = 0

    def forward(self, x):
        self.step += 1
        return x * self.step


class ClampsItsInput(nn.Module):
    def forward(self, x):
        x.clamp_(min=0)
        return x * 2


class StuckInTraining(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def train(self, mode: bool = True):
        super().train(mode)
        self.norm.train(True)
        return self

    def forward(self, x):
        return self.norm(x)


fault(
    "counter_in_a_buffer",
    module(CountsInBuffer),
    (x(2),),
    (x(2),),
    (x(2),),
    onnx="wrong",
    torch_export="ok",
    torchscript="wrong",
    onnx_legacy="wrong",
    torchscript_script="ok",
    torch_compile="ok",
    aotinductor="wrong",
    openvino="wrong",
    **{"onnx:openvino": "wrong"},
)
fault(
    "counter_in_an_attribute",
    module(CountsInAttribute),
    (x(2),),
    (x(2),),
    (x(2),),
    onnx="wrong",
    torch_export="wrong",
    torchscript="wrong",
    onnx_legacy="wrong",
    torchscript_script="ok",
    torch_compile="ok",
    aotinductor="wrong",
    openvino="no-export",
    **{"onnx:openvino": "wrong"},
)
fault(
    "input_changed_in_place",
    module(ClampsItsInput),
    (x(4),),
    (x(4, seed=3),),
    onnx="wrong",
    torch_export="ok",
    onnx_legacy="wrong",
    torchscript_script="ok",
    torch_compile="ok",
    aotinductor="ok",
    openvino="wrong",
    **{"onnx:openvino": "wrong"},
)
fault(
    "batch_norm_left_in_training",
    module(StuckInTraining),
    (x(6, 4),),
    (x(6, 4, seed=5, scale=3.0),),
    (x(6, 4, seed=6),),
    shapes=({0: Dim.DYNAMIC},),
    onnx="wrong",
    torch_export="ok",
    onnx_legacy="ok",
    torchscript_script="ok",
    torch_compile="ok",
    aotinductor="ok",
    openvino="ok",
    **{"onnx:openvino": "wrong"},
)
fault(
    "dropout_that_is_always_on",
    function(lambda x: F.dropout(x, 0.5)),
    (torch.ones(64),),
    onnx="wrong",
    torch_export="ok",
    onnx_legacy="wrong",
    torch_compile="wrong",
    aotinductor="wrong",
    openvino="wrong",
    **{"onnx:openvino": "no-run"},
)

# --- arithmetic
# -------------------------------------------------------------------------------------------------------------

fault(
    "remainder_of_large_numbers",
    function(torch.remainder, 2),
    (t(7.0, -7.0), t(2.0, 2.0)),
    (t(1e6 + 0.5, 123456.7), t(0.1, 0.3)),
    onnx="wrong",
    torch_export="ok",
    onnx_legacy="wrong",
    torchscript_script="ok",
    # Not torch_compile: its vectorised remainder is right on some processors and off on others.
    aotinductor="ok",
    openvino="wrong",
    **{"onnx:openvino": "wrong"},
)
fault(
    "integer_division_of_negatives",
    function(lambda x, y: x // y, 2),
    (t(7, 8), t(2, 3)),
    (t(-7, 7, -8, 9), t(2, -2, 3, -4)),
    shapes=({0: Dim.DYNAMIC}, {0: Dim.DYNAMIC}),
    torch_export="ok",
    onnx_legacy="wrong",
    torch_compile="ok",
    aotinductor="ok",
    openvino="wrong",
    **{"onnx:openvino": "ok"},
)
fault(
    "integer_division_beyond_floats",
    function(lambda x, y: torch.div(x, y, rounding_mode="floor"), 2),
    (t(7, 8), t(2, 3)),
    (t(-7, 2**53 + 1), t(2, 1)),
    onnx="wrong",
    torch_export="ok",
    onnx_legacy="ok",
    torch_compile="ok",
    aotinductor="ok",
    openvino="wrong",
    **{"onnx:openvino": "wrong"},
)
fault(
    "integers_beyond_32_bits",
    function(lambda x: x * 3 + 1),
    (t(1, 2),),
    (t(2**31, 2**40),),
    torch_export="ok",
    onnx_legacy="ok",
    torch_compile="ok",
    aotinductor="ok",
    openvino="wrong",
    **{"onnx:openvino": "wrong"},
)
fault(
    "through_half_and_back",
    function(lambda x: x.half().float()),
    (t(1.0, 2.0),),
    (t(1.0001, 70000.0),),
    torch_export="ok",
    onnx_legacy="ok",
    torch_compile="wrong",
    aotinductor="wrong",
    openvino="wrong",
    **{"onnx:openvino": "wrong"},
)
fault(
    "double_inside",
    function(lambda x: x.double() + 1e-9),
    (t(1.0, 2.0),),
    (t(1.0, 2.0),),
    onnx="wrong",
    torch_export="ok",
    onnx_legacy="ok",
    torch_compile="ok",
    aotinductor="ok",
    openvino="wrong",
    **{"onnx:openvino": "wrong"},
)
fault(
    "logaddexp_of_large_numbers",
    function(torch.logaddexp, 2),
    (t(1.0, 2.0), t(1.0, -2.0)),
    (t(100.0, 2.0), t(100.0, -300.0)),
    onnx="wrong",
    torch_export="ok",
    onnx_legacy="no-export",
    torchscript_script="ok",
    torch_compile="ok",
    aotinductor="ok",
    openvino="ok",
    **{"onnx:openvino": "wrong"},
)
fault(
    "log1p_of_small_numbers",
    function(lambda x: torch.log1p(x) * 1e8),
    (t(0.5, 1.0),),
    (t(1e-8, 3e-8),),
    onnx="wrong",
    torch_export="ok",
    onnx_legacy="wrong",
    torch_compile="ok",
    aotinductor="ok",
    openvino="wrong",
    **{"onnx:openvino": "wrong"},
)
fault(
    "half_overflows_inside",
    function(lambda x: (x * x).sqrt()),
    (t(3.0, dtype=torch.float16),),
    (t(300.0, dtype=torch.float16),),
    onnx="wrong",
    torch_export="ok",
    onnx_legacy="wrong",
    torch_compile="wrong",
    aotinductor="wrong",
    openvino="wrong",
    **{"onnx:openvino": "wrong"},
)
fault(
    "complex_input",
    function(lambda x: x * x),
    (t(1 + 2j, 3j),),
    onnx="no-run",
    torch_export="ok",
    torchscript="ok",
    onnx_legacy="no-export",
    torch_compile="ok",
    aotinductor="ok",
    openvino="no-export",
    **{"onnx:openvino": "no-run"},
)

# --- operators
# --------------------------------------------------------------------------------------------------------------


def _attention(seed: int = 0) -> tuple[torch.Tensor, ...]:
    return x(1, 2, 3, 4, seed=seed), x(1, 2, 3, 4, seed=seed + 10), x(1, 2, 3, 4, seed=seed + 20)


fault(
    "attention_to_nothing",
    function(lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m), 4),
    (*_attention(), torch.zeros(3, 3)),
    (*_attention(), torch.tensor([[-inf] * 3, [0.0] * 3, [0.0, -inf, 0.0]])),
    onnx="wrong",
    torch_export="ok",
    onnx_legacy="wrong",
    torch_compile="ok",
    aotinductor="ok",
    openvino="wrong",
    **{"onnx:openvino": "wrong"},
)
fault(
    "scattered_mean_of_duplicates",
    function(lambda x, i, v: x.scatter_reduce(0, i, v, "mean", include_self=False), 3),
    (torch.zeros(4), t(0, 1, 2), torch.ones(3)),
    (torch.ones(4), t(1, 1, 2), t(1.0, 2.0, 5.0)),
    onnx="wrong",
    torch_export="ok",
    onnx_legacy="no-export",
    torch_compile="ok",
    aotinductor="ok",
    openvino="ok",
    **{"onnx:openvino": "wrong"},
)
fault(
    "order_of_equal_elements",
    function(lambda x: x.sort(descending=True)[1]),
    (x(1, 64),),
    ((torch.arange(64) % 4).float()[None],),
    onnx="wrong",
    torch_export="ok",
    onnx_legacy="wrong",
    torch_compile="ok",
    aotinductor="ok",
    openvino="wrong",
    **{"onnx:openvino": "wrong"},
)
fault(
    "pooling_with_another_divisor",
    function(lambda x: F.avg_pool2d(x, 2, divisor_override=3)),
    (x(1, 1, 6, 6),),
    onnx="wrong",
    torch_export="ok",
    onnx_legacy="wrong",
    torch_compile="ok",
    aotinductor="ok",
    openvino="no-export",
    **{"onnx:openvino": "wrong"},
)
fault(
    "padding_then_max_pooling",
    function(lambda x: F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 1)),
    (x(1, 1, 6, 6),),
    (-x(1, 1, 6, 6).abs() - 1,),
    onnx="wrong",
    torch_export="ok",
    onnx_legacy="ok",
    torch_compile="ok",
    aotinductor="ok",
    openvino="ok",
    **{"onnx:openvino": "ok"},
)


class Recurrent(nn.Module):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(*args, batch_first=True, **kwargs)

    def forward(self, x):
        return self.recurrent(x)[0]


fault(
    "lstm_without_a_batch",
    module(nn.LSTM, 3, 2, batch_first=True),
    (x(4, 5, 3),),
    (torch.zeros(0, 5, 3),),
    shapes=({0: Dim.DYNAMIC},),
    onnx="crash",
    torch_export="ok",
    torchscript="ok",
    onnx_legacy="crash",
    torchscript_script="no-run",
    torch_compile="no-run",
    aotinductor="no-run",
    openvino="ok",
    **{"onnx:openvino": "ok"},
)
fault(
    "lstm_with_dynamic_length",
    module(Recurrent, 3, 4, bidirectional=True),
    (x(2, 5, 3),),
    (x(3, 7, 3),),
    shapes=({0: Dim.DYNAMIC, 1: Dim.DYNAMIC},),
    torch_export="no-export",
    torchscript="ok",
    onnx_legacy="ok",
    torchscript_script="ok",
    torch_compile="no-run",
    aotinductor="no-export",
    openvino="ok",
    **{
        "onnx:openvino": "wrong"
    },  # its values are right; the output sizes that the file declares are not
)

# --- controls
# ---------------------------------------------------------------------------------------------------------------


class TiedHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(16, 8)
        self.head = nn.Linear(8, 16, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids):
        return self.head(self.embedding(ids).mean(1))


class Positions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer(
            "table", torch.sin(torch.arange(256.0)).reshape(1, 64, 4), persistent=False
        )

    def forward(self, x):
        return x + self.table[:, : x.size(1)]


class LocalInPlace(nn.Module):
    def forward(self, x):
        y = x * 1.0
        y += 1
        y[:, 0] = 0.0
        return y.relu_()


def _cancelling() -> torch.Tensor:
    half = x(200_000)
    return torch.cat([half, -half.flip(0)]) * 100


FINE = {"onnx": "ok", "torch_export": "ok", "torchscript": "ok"}
fault(
    "control_sum_that_cancels",
    function(lambda x: x.sum()),
    (_cancelling(),),
    **FINE,
    onnx_legacy="ok",
    torch_compile="ok",
    aotinductor="ok",
    openvino="ok",
    **{"onnx:openvino": "ok"},
)
fault(
    "control_long_products",
    function(lambda x, y: x @ y, 2),
    (x(4, 4096), x(4096, 8, seed=1)),
    **FINE,
    onnx_legacy="ok",
    torch_compile="ok",
    aotinductor="ok",
    openvino="ok",
    **{"onnx:openvino": "ok"},
)
fault(
    "control_equal_elements",
    function(lambda x: (x.topk(3)[0], x.sort(descending=True)[0], x.amax(-1))),
    (x(2, 40),),
    ((torch.arange(80).reshape(2, 40) % 4).float(),),
    **FINE,
    onnx_legacy="ok",
    torch_compile="ok",
    aotinductor="ok",
    openvino="ok",
    **{"onnx:openvino": "ok"},
)
fault(
    "control_tied_weights",
    module(TiedHead),
    (t([1, 2, 3]),),
    (t([5, 6, 15]),),
    **FINE,
    onnx_legacy="ok",
    torchscript_script="ok",
    torch_compile="ok",
    aotinductor="ok",
    openvino="ok",
    **{"onnx:openvino": "ok"},
)
fault(
    "control_table_of_positions",
    module(Positions),
    (x(2, 5, 4),),
    (x(3, 17, 4, seed=1),),
    shapes=({0: Dim.DYNAMIC, 1: Dim.DYNAMIC},),
    **FINE,
    onnx_legacy="ok",
    torchscript_script="ok",
    torch_compile="ok",
    aotinductor="ok",
    openvino="ok",
    **{"onnx:openvino": "ok"},
)
fault(
    "control_local_changes",
    module(LocalInPlace),
    (x(2, 3),),
    (x(4, 3, seed=1),),
    shapes=({0: Dim.DYNAMIC},),
    **FINE,
    onnx_legacy="ok",
    torchscript_script="ok",
    torch_compile="ok",
    aotinductor="ok",
    openvino="ok",
    **{"onnx:openvino": "ok"},
)
fault(
    "control_negative_zero",
    function(lambda x: x * 0.0),
    (t(1.0, 2.0),),
    (t(-1.0, 2.0),),
    **FINE,
    onnx_legacy="ok",
    torch_compile="ok",
    aotinductor="ok",
    openvino="ok",
    **{"onnx:openvino": "ok"},
)
