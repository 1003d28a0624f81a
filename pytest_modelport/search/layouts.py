"""How the same values may lie in memory."""

from __future__ import annotations

import torch


def layouts(dims: int) -> tuple[str, ...]:
    """The layouts that a tensor of this many axes can have, beside a dense one."""
    return (
        *(("transposed",) if dims > 1 else ()),
        *(("sliced",) if dims else ()),
        *(("channels_last",) if dims == 4 else ()),
    )


def laid_out(tensor: torch.Tensor, layout: str) -> torch.Tensor:
    """The same values in another layout."""
    if layout == "transposed":
        return tensor.transpose(-1, -2).contiguous().transpose(-1, -2)
    if layout == "sliced":
        room = tensor.new_zeros((*tensor.shape[:-1], 2 * tensor.shape[-1]))
        room[..., ::2] = tensor
        return room[..., ::2]
    return (
        tensor.contiguous(memory_format=torch.channels_last)
        if layout == "channels_last"
        else tensor
    )


def laid_as(tensor: torch.Tensor, sample: torch.Tensor) -> torch.Tensor:
    """The same values with the axes in memory in the order that the sample's have."""
    strides = sample.stride()
    if sample.is_contiguous() or 0 in strides:
        return tensor
    order = sorted(range(sample.dim()), key=lambda axis: -strides[axis])
    back = sorted(range(sample.dim()), key=order.__getitem__)
    return tensor.permute(order).contiguous().permute(back)
