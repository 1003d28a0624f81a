"""Models made of models: chains, ensembles, stacks, soups; and ONNX files joined.

Each can say what it must answer from its members alone (`composed`), run one by one and put
together in float64 by other code than the model's own. The check `composition` holds the model to
that, and parity holds the port to the model.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pytest_modelport.backends.kit import onnx_files
from pytest_modelport.core.errors import UsageError, unknown
from pytest_modelport.subject.copies import copied

Values = npt.NDArray[Any]
COMBINE = ("logits", "probabilities", "vote")


class Merged(nn.Module):
    """A model made of others. members: those, in order; each returns one tensor."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise UsageError("a merged model needs members: give at least one")
        self.members = nn.ModuleList(members)

    @abstractmethod
    def composed(self, *args: Any, **kwargs: Any) -> Values:
        """What the model must answer, from its members one by one."""

    def _each(self, *args: Any, **kwargs: Any) -> list[Values]:
        """Every member's answer, each run alone, in float64."""
        return [_wide(member(*args, **kwargs)) for member in self.members]


class Chain(Merged):
    """Each member gets the answer of the one before it."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        first, *others = self.members
        answer = first(*args, **kwargs)
        for member in others:
            answer = member(answer)
        return answer

    def composed(self, *args: Any, **kwargs: Any) -> Values:
        first, *others = self.members
        answer = first(*args, **kwargs)
        for member in others:
            answer = member(answer.detach().clone())
        return _wide(answer)


class Ensemble(Merged):
    """Members that answer with scores of classes, together: the mean of their logits, of their
    probabilities, or a vote.

    weights: how much each counts; equal without. A vote's answer is the share of votes of each
    class, float32.
    """

    def __init__(
        self,
        members: Sequence[nn.Module],
        combine: str = "logits",
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(members)
        if combine not in COMBINE:
            raise unknown("way to combine", combine, COMBINE)
        self.combine = combine
        self.shares: list[float] = shares(len(members), weights)

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        total: Any = None
        for share, member in zip(self.shares, self.members, strict=True):
            part = self._part(member(*args, **kwargs)) * share
            total = part if total is None else total + part
        return total  # type: ignore[no-any-return]

    def _part(self, scores: torch.Tensor) -> torch.Tensor:
        if self.combine == "probabilities":
            return scores.softmax(-1)
        if self.combine == "vote":
            return nn.functional.one_hot(scores.argmax(-1), scores.shape[-1]).to(torch.float32)
        return scores

    def composed(self, *args: Any, **kwargs: Any) -> Values:
        parts = [_PARTS[self.combine](scores) for scores in self._each(*args, **kwargs)]
        return np.tensordot(np.asarray(self.shares), np.stack(parts), 1)


class Stack(Merged):
    """Members' answers side by side along the last axis, and a head that makes one of them."""

    def __init__(self, members: Sequence[nn.Module], head: nn.Module) -> None:
        super().__init__(members)
        self.head = head

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.head(torch.cat([member(*args, **kwargs) for member in self.members], -1))

    def composed(self, *args: Any, **kwargs: Any) -> Values:
        answers = [member(*args, **kwargs).detach().clone() for member in self.members]
        width = [0, *np.cumsum([answer.shape[-1] for answer in answers])]
        joined = answers[0].new_empty((*answers[0].shape[:-1], int(width[-1])))
        for answer, start, end in zip(answers, width, width[1:], strict=False):
            joined[..., start:end] = answer
        return _wide(self.head(joined))


def soup(models: Sequence[nn.Module], weights: Sequence[float] | None = None) -> nn.Module:
    """A copy of the first whose parameters and float buffers are the mean of all (Wortsman et al.
    2022, "Model soups").

    Only models trained from the same start can be averaged: others answer at random. weights: how
    much each counts. Raises `UsageError` where the models differ in names or shapes.
    """
    if not models:
        raise UsageError("a soup needs models: give at least one")
    states = [model.state_dict() for model in models]
    for number, state in enumerate(states[1:], 1):
        _alike(states[0], state, number)
    made, parts = copied(models[0]), shares(len(models), weights)
    mean = {
        name: sum(
            share * state[name].double() for share, state in zip(parts, states, strict=True)
        ).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in states[0].items()
    }
    made.load_state_dict(mean, strict=True)
    return made


def shares(count: int, weights: Sequence[float] | None) -> list[float]:
    """Weights that sum to 1. Raises `UsageError`."""
    given = [1.0] * count if weights is None else list(weights)
    if len(given) != count or not sum(given) > 0 or min(given) < 0:
        raise UsageError(
            f"weights are {weights!r}: give one for each of {count} members, none of them negative"
        )
    return [weight / sum(given) for weight in given]


def files(
    first: Path | str,
    second: Path | str,
    target: Path | str,
    names: Mapping[str, str] | None = None,
) -> Path:
    """Two ONNX files as one, the second fed from the first (onnx.compose). Prove it by `artifact=`
    against a `Chain`.

    names: outputs of the first -> inputs of the second; in order without. Raises `UsageError` for
    files of two opsets.
    """
    import onnx
    from onnx import compose

    one, two = onnx.load(first), onnx.load(second)
    opsets = [onnx_files.opset(Path(path)) for path in (first, second)]
    if opsets[0] != opsets[1]:
        raise UsageError(
            f"{first} is of opset {opsets[0]} and {second} of {opsets[1]}: "
            f"export both with onnx(opset={max(opsets)})"
        )
    pairs = names or {
        made.name: taken.name for made, taken in zip(one.graph.output, two.graph.input, strict=True)
    }
    two = compose.add_prefix(two, "second_")
    taken = {made: f"second_{name}" for made, name in pairs.items()}
    joined = compose.merge_models(one, two, io_map=list(taken.items()))
    onnx.checker.check_model(joined)
    onnx.save(joined, target)
    return Path(target)


def _alike(first: Mapping[str, Any], other: Mapping[str, Any], number: int) -> None:
    for name in first.keys() ^ other.keys():
        word = "lacks" if name in first else "adds"
        raise UsageError(f"model {number} of the soup {word} {name!r}: all must be of one class")
    for name, tensor in first.items():
        if tensor.shape != other[name].shape:
            raise UsageError(
                f"{name!r} is {tuple(other[name].shape)} in model {number} of the soup, "
                f"{tuple(tensor.shape)} in the first"
            )


def _wide(tensor: torch.Tensor) -> Values:
    return tensor.detach().cpu().double().numpy()


def _softmax(scores: Values) -> Values:
    shifted = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))


def _votes(scores: Values) -> Values:
    return np.asarray(np.eye(scores.shape[-1])[scores.argmax(-1)])


_PARTS = {"logits": lambda scores: scores, "probabilities": _softmax, "vote": _votes}
