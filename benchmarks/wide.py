"""Layers as wide as real ones, alone: does an allowance that is measured hold where a thousand
numbers are added?

    python -m benchmarks.wide [--seeds 3] [--write docs/measured/wide.md]

Networks that are small enough for a test add thirty numbers at a time. Here each layer is healthy,
as wide as in production, and nothing around it hides what it rounds. The figure is how many times
its noise an output lay from the oracle; beyond `NOISE_FACTOR` is a false alarm.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks import pages
from pytest_modelport import Outcome
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.engine import pipeline
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.request.tolerance import NOISE_FACTOR

TARGETS = ("onnx", "onnx:reference", "torchscript", "torch_export")


class Function(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def flat(*shape: int) -> torch.Tensor:
    return torch.full(shape, 0.3)


#: Wrong, and no matter of noise: onnx's evaluator takes the logarithm of a softmax that has become
#: zero at values a hundred times as large.
WRONG = {("log_softmax 50000", "onnx:reference")}


def cases() -> dict[str, tuple[nn.Module, tuple[torch.Tensor, ...]]]:
    """Modules and inputs, drawn from torch's generator as it stands."""
    randn, rand, attention = torch.randn, torch.rand, nn.functional.scaled_dot_product_attention
    made: dict[str, tuple[nn.Module, tuple[torch.Tensor, ...]]] = {}
    for width in (64, 256, 1024, 4096):
        made[f"Linear {width}, 1 row"] = nn.Linear(width, 64), (randn(1, width),)
        made[f"Linear {width}, 8 rows"] = nn.Linear(width, 64, bias=False), (randn(8, width),)
        made[f"Linear {width}, positive"] = nn.Linear(width, 64), (rand(4, width),)
    for channels, size in ((16, 3), (128, 3), (512, 2), (1024, 3)):
        made[f"Conv1d {channels} x {size}"] = (
            nn.Conv1d(channels, 64, size),
            (randn(2, channels, 24),),
        )
    for channels in (64, 512):
        made[f"Conv2d {channels} x 3 x 3"] = (
            nn.Conv2d(channels, 64, 3),
            (randn(1, channels, 14, 14),),
        )
    return made | {
        "Conv2d depthwise 7 x 7": (
            nn.Conv2d(256, 256, 7, groups=256, padding=3),
            (randn(1, 256, 16, 16),),
        ),
        "ConvTranspose2d 256": (nn.ConvTranspose2d(256, 64, 4, 2), (randn(1, 256, 8, 8),)),
        "GroupNorm": (nn.GroupNorm(32, 64), (randn(2, 64, 4000) + 1,)),
        "GroupNorm, flat": (nn.GroupNorm(32, 64), (flat(2, 64, 4000),)),
        "InstanceNorm2d": (nn.InstanceNorm2d(8), (randn(2, 8, 128, 128) + 1,)),
        "InstanceNorm2d, flat": (nn.InstanceNorm2d(8), (flat(2, 8, 128, 128),)),
        "LayerNorm 4096": (nn.LayerNorm(4096), (randn(8, 4096) * 3 + 1,)),
        "RMSNorm 4096": (nn.RMSNorm(4096), (randn(8, 4096) * 3,)),
        "softmax 50000": (nn.Softmax(-1), (randn(4, 50000),)),
        "log_softmax 50000": (nn.LogSoftmax(-1), (randn(4, 50000),)),
        "logsumexp 20000": (Function(lambda x: torch.logsumexp(x, -1)), (randn(8, 20000),)),
        "var 20000": (Function(lambda x: x.var(-1)), (randn(8, 20000) + 2,)),
        "norm 20000": (Function(lambda x: x.norm(dim=-1)), (randn(8, 20000),)),
        "mean 20000": (Function(lambda x: x.mean(-1)), (rand(8, 20000),)),
        "cumsum 5000": (Function(lambda x: x.cumsum(-1)), (rand(4, 5000),)),
        "AvgPool2d 31": (nn.AvgPool2d(31), (randn(2, 4, 62, 62) + 1,)),
        "attention 600": (
            Function(attention),
            (randn(1, 2, 600, 64), randn(1, 2, 600, 64), randn(1, 2, 600, 64) + 1),
        ),
        "LSTM 512": (nn.LSTM(64, 512, batch_first=True), (randn(2, 6, 64),)),
        "GRU 256": (nn.GRU(512, 256, batch_first=True), (randn(2, 6, 512),)),
        "MLP 784-512-512-10": (
            nn.Sequential(
                nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
            ),
            (rand(1, 784),),
        ),
        "TransformerEncoderLayer 768": (
            nn.TransformerEncoderLayer(768, 12, 3072, batch_first=True),
            (randn(1, 64, 768),),
        ),
    }


def main() -> None:
    parser = pages.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")
    started, worst, alarms = time.monotonic(), dict[str, dict[str, float]](), list[str]()
    with Workspace() as workspace:
        for seed in range(options.seeds):
            torch.manual_seed(seed)
            for name, (module, args) in cases().items():
                case = build_case(module.eval(), args, seed=seed)
                for route in routes_of(TARGETS, ("none",), ("cpu",)):
                    [verdict] = pipeline.prove(workspace, case, route, ["parity"])
                    if verdict.outcome is not Outcome.PASSED and (name, route.target) not in WRONG:
                        alarms.append(
                            f"{name} on {route.target}, seed {seed}: {verdict.outcome}, {verdict.reason}"
                        )
                        print(alarms[-1], flush=True)
                    row = worst.setdefault(name, {})
                    row[route.target] = max(
                        row.get(route.target, 0.0), verdict.evidence.get("needs", 0.0)
                    )
    lines = [
        "# Wide layers",
        "",
        f"`python -m benchmarks.wide`, torch {torch.__version__}: {len(worst)} layers alone, {options.seeds} times each, "
        f"{len(alarms)} false alarms, {time.monotonic() - started:.0f} s. An output may lie {NOISE_FACTOR:g} times its noise from the "
        "oracle; needed were, at most:",
        "",
        f"| layer | {' | '.join(TARGETS)} |",
        f"|---|{'---|' * len(TARGETS)}",
        *(
            f"| {name} | {' | '.join(f'{row[target]:.2f}' for target in TARGETS)} |"
            for name, row in worst.items()
        ),
        *(["", *(f"- {alarm}" for alarm in alarms)] if alarms else []),
    ]
    pages.show(lines, options.write)
    sys.exit(bool(alarms))


if __name__ == "__main__":
    main()
