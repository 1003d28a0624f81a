"""What torch documents by a formula and computes in one kernel.

Other runtimes compute the formula, and what its steps round is fair: far out in a gelu, where 1 +
erf(x) cancels, that is more than the last place of the result, and so is a mean that is taken away
from numbers which are all alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

Formula = Callable[..., Any]
#: Dtypes that runtimes add up in themselves. Half precision is added up in float32 everywhere, and
#: rounded once.
ADDED_ALIKE = (torch.float32, torch.float64)


def _gelu(x: torch.Tensor, *, approximate: str = "none") -> torch.Tensor:
    if approximate == "none":
        return x * 0.5 * (1 + torch.erf(x * math.sqrt(0.5)))
    return x * 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _elu(
    x: torch.Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0
) -> torch.Tensor:
    return torch.where(x > 0, x * scale, (torch.exp(x * input_scale) - 1) * (alpha * scale))


def _glu(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    kept, gate = x.chunk(2, dim)
    return kept * torch.sigmoid(gate)


def _xlogy(x: Any, y: Any) -> torch.Tensor:
    product: torch.Tensor = x * torch.log(torch.as_tensor(y))
    return torch.where((torch.as_tensor(x) == 0) & ~torch.as_tensor(y).isnan(), 0.0, product)


#: In every dtype.
_ACTIVATIONS: Mapping[str, Formula] = {
    "gelu": _gelu,
    "silu": lambda x: x * torch.sigmoid(x),
    "mish": lambda x: x * torch.tanh(torch.nn.functional.softplus(x)),
    "log_sigmoid_forward": lambda x: (-torch.nn.functional.softplus(-x), x.new_empty(0)),
    "elu": _elu,
    "celu": lambda x, alpha=1.0: _elu(x, alpha, 1.0, 1 / alpha),
    "glu": _glu,
    "xlogy": _xlogy,
}


def _normalised(
    x: torch.Tensor, dims: list[int], eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(x - mean) / sqrt(variance + eps) over some axes, the mean, and the factor."""
    mean = x.mean(dims, keepdim=True)
    centred = x - mean
    factor = ((centred * centred).mean(dims, keepdim=True) + eps).rsqrt()
    return centred * factor, mean, factor


def _scaled(
    x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, shape: Sequence[int]
) -> torch.Tensor:
    x = x if weight is None else x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


def _group_norm(
    x: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    rows: int,
    channels: int,
    each: int,  # noqa: ARG001 - the operator's own signature
    groups: int,
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    made, mean, factor = _normalised(x.reshape(rows, groups, -1), [2], eps)
    shape = (1, channels, *[1] * (x.dim() - 2))
    return _scaled(made.reshape(x.shape), weight, bias, shape), mean.squeeze(2), factor.squeeze(2)


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    dropout: float = 0.0,  # noqa: ARG001 - none where this is used
    causal: bool = False,  # noqa: FBT001, FBT002 - the operator's own signature
    *,
    attn_mask: torch.Tensor | None = None,
    scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """softmax(Q K^T * scale + mask) V, and zeros for what only the backward pass needs. Several
    queries may share a key.
    """
    shared = query.shape[-3] // key.shape[-3]
    if shared > 1:
        key, value = (tensor.repeat_interleave(shared, -3) for tensor in (key, value))
    scores = torch.matmul(query, key.mT) * (scale if scale is not None else query.shape[-1] ** -0.5)
    scores = scores if attn_mask is None else scores + attn_mask
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    hidden = scores.amax(-1, keepdim=True) == -math.inf  # a row that sees nothing is zero
    shares = torch.softmax(scores, -1).masked_fill(hidden, 0)
    return torch.matmul(shares, value), query.new_zeros(query.shape[:-1])


def _norm(
    x: torch.Tensor,
    order: float = 2,
    dims: Sequence[int] | None = None,
    keepdim: bool = False,  # noqa: FBT001, FBT002 - the operator's own signature
) -> torch.Tensor:
    terms = x.abs() if order == 1 else x * x
    found = terms.sum(list(dims) if dims else list(range(x.dim())), keepdim=keepdim)
    return found if order == 1 else found.sqrt()


def _batch_norm(
    x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """By the batch's own statistics: an instance normalisation, for one."""
    made, mean, factor = _normalised(x, [0, *range(2, x.dim())], eps)
    return (
        _scaled(made, weight, bias, (1, -1, *[1] * (x.dim() - 2))),
        mean.flatten(),
        factor.flatten(),
    )


#: Those that add: in the dtypes above only.
_SUMS: Mapping[str, Formula] = {
    "native_group_norm": _group_norm,
    "native_batch_norm": lambda x, weight, bias, _mean, _var, _training, _momentum, eps: (
        _batch_norm(x, weight, bias, eps)
    ),
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "linalg_vector_norm": _norm,
}


def formula(
    name: str, tensors: Sequence[torch.Tensor], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Formula | None:
    """The formula of an operation with these arguments; None where none stands for it."""
    if name in _ACTIVATIONS or name not in _SUMS:
        return _ACTIVATIONS.get(name)
    if any(tensor.dtype not in ADDED_ALIKE or not tensor.numel() for tensor in tensors):
        return None
    if name == "native_batch_norm" and (args[3] is not None or not args[5]):
        # By stored statistics nothing is added up, and those that are kept must be written.
        return None
    if name == "linalg_vector_norm" and (kwargs or (args[1] if len(args) > 1 else 2) not in (1, 2)):
        return None
    if name.startswith("_scaled") and len(args) > 3 and args[3]:
        return None  # dropout
    return _SUMS[name]
