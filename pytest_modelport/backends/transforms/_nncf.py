"""What the transforms that use NNCF on OpenVINO files share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pytest_modelport.backends.transform_work import FileWork
from pytest_modelport.core.errors import CannotTransform

REQUIRES = {"openvino": "openvino>=2025.0", "nncf": "nncf>=2.14"}


def opened(work: FileWork) -> Any:
    """The file as OpenVINO reads it."""
    import openvino

    return openvino.Core().read_model(work.source)


def saved(work: FileWork, model: Any) -> Iterator[str]:
    """Write the file with its weights as they are; a note on what it stores. Raises
    `CannotTransform` for no small integers.
    """
    import openvino

    openvino.save_model(model, work.target, compress_to_fp16=False)
    kinds = Counter(
        node.get_element_type().get_type_name()
        for node in openvino.Core().read_model(work.target).get_ordered_ops()
        if node.get_type_name() == "Constant" and node.get_data().size > 1
    )
    if not any(kind in ("i8", "u8", "i4", "u4") for kind in kinds):
        raise CannotTransform(
            f"nothing was changed: the file stores {dict(kinds)} and no integers of 8 bits or fewer"
        )
    yield "constants: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def dataset(work: FileWork) -> Any:
    """The calibration data, by position: files made from modules have no names of their own."""
    import nncf

    return nncf.Dataset([list(feed.values()) for feed in work.feeds])
