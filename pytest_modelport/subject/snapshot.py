"""The subject's whole state, so that a change can be named and, where there is no fork, undone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from pytest_modelport.core.tensors import is_tensor

_SCALARS = (bool, int, float, complex, str, bytes, type(None))


class Snapshot:
    """What every submodule held: parameters, buffers, modes, hooks and plain attributes.

    parameters: also copy parameters. Without it a changed parameter is noticed by its version
    counter but cannot be restored.
    """

    def __init__(self, module: nn.Module, *, parameters: bool = True) -> None:
        self._module = module
        self._parameters = parameters
        self._attributes = {path: dict(vars(part)) for path, part in module.named_modules()}
        self._contents = {
            path: {
                key: _copy(value)
                for key, value in values.items()
                if isinstance(value, (dict, list, set))
            }
            for path, values in self._attributes.items()
        }
        self._tensors = {
            path: (
                tensor,
                tensor._version,
                tensor.detach().clone() if self._copied(tensor) else None,
                tensor.requires_grad,
            )
            for path, tensor in self._walk()
        }

    def _copied(self, tensor: torch.Tensor) -> bool:
        return self._parameters or not isinstance(tensor, nn.Parameter)

    def _walk(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every tensor that a submodule holds, by path; a tied one under each of its names."""
        for path, part in self._module.named_modules():
            for key, value in vars(part).items():
                items = value.items() if key in ("_parameters", "_buffers") else [(key, value)]
                for name, item in items:
                    if is_tensor(item):
                        yield f"{path}.{name}".lstrip("."), item

    def changes(self) -> tuple[str, ...]:
        """Paths of what differs from the snapshot now: `buffer n`, `attribute step`, `parameter w`,
        `mode of bn`.
        """
        found = [*self._changed_tensors(), *self._changed_attributes()]
        return tuple(dict.fromkeys(found))

    def _changed_tensors(self) -> Iterator[str]:
        now = dict(self._walk())
        for path, (tensor, version, values, _) in self._tensors.items():
            kind = "parameter" if isinstance(tensor, nn.Parameter) else "buffer"
            current = now.get(path)
            if current is None:
                yield f"{kind} {path}"
            elif values is None:
                if current is not tensor or current._version != version:
                    yield f"{kind} {path}"
            elif (
                current.shape != values.shape
                or current.dtype != values.dtype
                or not _same(current, values)
            ):
                yield f"{kind} {path}"
        yield from (f"buffer {path}" for path in now if path not in self._tensors)

    def _changed_attributes(self) -> Iterator[str]:
        for path, part in self._module.named_modules():
            before = self._attributes.get(path)
            if before is None:
                yield f"submodule {path}"
                continue
            for key in before.keys() | vars(part).keys():
                full = f"{path}.{key}".lstrip(".")
                if key == "training" and before[key] != part.training:
                    yield f"mode of {path or 'the model'}"
                elif key not in ("_parameters", "_buffers") and self._differs(
                    path, key, before, vars(part)
                ):
                    yield f"attribute {full}"

    def _differs(self, path: str, key: str, before: dict[str, Any], after: dict[str, Any]) -> bool:
        if key not in before or key not in after:
            return True
        old, new = before[key], after[key]
        if is_tensor(old) and is_tensor(new):
            return False  # compared as tensors
        if isinstance(old, _SCALARS) or isinstance(new, _SCALARS):
            return type(old) is not type(new) or bool(old != new)
        if key in self._contents[path]:
            return old is not new or not _alike(self._contents[path][key], new)
        return old is not new

    def restore(self) -> None:
        """Put everything back, in the same tensor objects. Needs a snapshot with parameters."""
        for path, part in list(self._module.named_modules()):
            before = self._attributes.get(path)
            if before is None:
                continue
            vars(part).clear()
            vars(part).update(before)
            for key, contents in self._contents[path].items():
                if not _alike(contents, before[key]):  # one that is frozen refuses to be filled
                    _refill(before[key], contents)
        for tensor, version, values, requires_grad in self._tensors.values():
            if values is not None and (tensor._version != version or not _same(tensor, values)):
                with torch.no_grad():
                    if tensor.shape != values.shape:
                        tensor.resize_(values.shape)
                    tensor.copy_(values)
            if tensor.requires_grad != requires_grad:
                tensor.requires_grad_(requires_grad)


def _same(left: torch.Tensor, right: torch.Tensor) -> bool:
    if left.is_floating_point() or left.is_complex():
        return bool(((left == right) | (left.isnan() & right.isnan())).all())
    return torch.equal(left, right)


def _copy(value: Any) -> Any:
    return value.copy()


def _alike(before: Any, after: Any) -> bool:
    """Whether a container holds the same things, by identity except for plain scalars."""
    if len(before) != len(after):
        return False
    if isinstance(before, set):
        return bool(before == after)
    pairs = (
        zip(before.items(), after.items(), strict=True)
        if isinstance(before, dict)
        else zip(before, after, strict=True)
    )
    return all(_item_alike(old, new) for old, new in pairs)


def _item_alike(old: Any, new: Any) -> bool:
    if isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        return all(_item_alike(a, b) for a, b in zip(old, new, strict=True))
    return old is new or (isinstance(old, _SCALARS) and type(old) is type(new) and bool(old == new))


def _refill(container: Any, contents: Any) -> None:
    container.clear()
    if isinstance(container, list):
        container.extend(contents)
    else:
        container.update(contents)
