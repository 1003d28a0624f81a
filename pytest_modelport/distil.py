"""Distillation: a small model taught by a large one (Hinton et al. 2015, "Distilling the Knowledge
in a Neural Network").

As a transform it is a function: `def student(teacher): return distil(Small(), teacher, batches)`;
the check `quality` then prices the student against its teacher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from pytest_modelport.core.errors import UsageError

if TYPE_CHECKING:
    from torch.optim import Optimizer

Batch = tuple[torch.Tensor, torch.Tensor | None]


def loss(
    student: torch.Tensor,
    teacher: torch.Tensor,
    labels: torch.Tensor | None = None,
    *,
    temperature: float = 4.0,
    alpha: float = 0.9,
) -> torch.Tensor:
    """Alpha T^2 KL(teacher at T || student at T) + (1 - alpha) cross entropy with the labels, the
    mean over the batch.

    student, teacher: logits (batch, classes). labels: (batch,), int64; without them the first term
    alone. T^2 keeps the gradients of both terms in step whatever the temperature.
    """
    soft = functional.kl_div(
        functional.log_softmax(student / temperature, -1),
        functional.log_softmax(teacher / temperature, -1),
        reduction="batchmean",
        log_target=True,
    )
    taught = temperature**2 * soft
    if labels is None:
        return taught
    return alpha * taught + (1 - alpha) * functional.cross_entropy(student, labels)


def distil(
    student: nn.Module,
    teacher: nn.Module,
    batches: Iterable[Any],
    *,
    epochs: int = 10,
    temperature: float = 4.0,
    alpha: float = 0.9,
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] | None = None,
    seed: int = 0,
) -> nn.Module:
    """Train the student in place and return it in eval mode. The teacher is asked once for each
    batch, in eval mode.

    batches: inputs, or (inputs, labels); those without labels are learned from the teacher alone.
    optimizer: makes one for the student's parameters; Adam without. The order of batches is drawn
    anew in each epoch, from the seed. Raises `UsageError`.
    """
    _check(epochs, temperature, alpha)
    given = [_batch(batch) for batch in batches]
    if not given:
        raise UsageError("batches is empty: there is nothing to learn from")
    modes = [(part, part.training) for part in teacher.modules()]
    try:
        with torch.no_grad():
            answers = [teacher.eval()(inputs) for inputs, _ in given]
    finally:
        for part, mode in modes:
            part.training = mode
    steps = (optimizer or torch.optim.Adam)(student.parameters())
    order = torch.Generator().manual_seed(seed)
    student.train()
    with torch.enable_grad():
        for _ in range(epochs):
            for number in torch.randperm(len(given), generator=order).tolist():
                inputs, labels = given[number]
                steps.zero_grad()
                loss(
                    student(inputs), answers[number], labels, temperature=temperature, alpha=alpha
                ).backward()
                steps.step()
    student.zero_grad()
    return student.eval()


def _batch(batch: Any) -> Batch:
    if isinstance(batch, torch.Tensor):
        return batch, None
    inputs, labels = batch
    return inputs, labels


def _check(epochs: int, temperature: float, alpha: float) -> None:
    if not (isinstance(epochs, int) and epochs > 0):
        raise UsageError(f"epochs is {epochs!r}: give a positive whole number")
    if not temperature > 0:
        raise UsageError(f"temperature is {temperature!r}: give a positive number")
    if not 0 <= alpha <= 1:
        raise UsageError(f"alpha is {alpha!r}: give a share between 0 and 1")
