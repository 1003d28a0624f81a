"""One classifier, and the same with a mistake that some port of it does not survive."""

from __future__ import annotations

import os

import torch
from torch import nn
from torch.nn import functional as F


class Classifier(nn.Module):
    """(batch, 16) to logits and probabilities over three classes, both (batch, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.norm, self.head = nn.Linear(16, 32), nn.BatchNorm1d(32), nn.Linear(32, 3)

    def features(self, x):
        return torch.relu(self.norm(self.hidden(x)))

    def forward(self, x):
        logits = self.head(self.features(x))
        return logits, logits.softmax(-1)


class FunctionalDropout(Classifier):
    def features(self, x):
        return F.dropout(super().features(x), 0.1)


class NormStuckInTraining(Classifier):
    def train(self, mode: bool = True):
        super().train(mode)
        self.norm.train(True)
        return self


class CountsInBuffer(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def features(self, x):
        self.calls += 1
        return super().features(x) / self.calls


class CountsInAttribute(Classifier):
    calls = 0

    def features(self, x):
        self.calls += 1
        return super().features(x) / self.calls


class BranchOnValues(Classifier):
    def features(self, x):
        found = super().features(x)
        return found if x.sum() > 0 else found * 0.5


class BranchOnBatch(Classifier):
    def features(self, x):
        return super().features(x - x.mean(0) if x.shape[0] > 4 else x)


class ScaleReadAsNumber(Classifier):
    def features(self, x):
        return super().features(x / x.abs().max().item())


class TableOutsideTheState(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.rand(32)

    def features(self, x):
        return super().features(x) * self.scale


class ThroughHalf(Classifier):
    def features(self, x):
        return (super().features(x) * 1e4).half().float() / 1e4


class ChangesItsInput(Classifier):
    def features(self, x):
        return super().features(x.clamp_(-1, 1))


class DoubleInside(Classifier):
    def forward(self, x):
        logits, probabilities = super().forward(x)
        return logits.double() + 1e-9, probabilities


VARIANTS = {variant.__name__: variant for variant in (Classifier, *Classifier.__subclasses__())}


def batches() -> list[torch.Tensor]:
    """What every suite may use: the batch that is exported, then a smaller one of another kind."""
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(8, 16, generator=generator) + 0.5,
        torch.randn(3, 16, generator=generator) * 3 - 1,
    ]


def make() -> Classifier:
    """The variant that the process was started for."""
    return VARIANTS[os.environ["VARIANT"]]()
