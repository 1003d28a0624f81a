"""Folders that transformers' and PEFT's `save_pretrained` wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_modelport.core.errors import UsageError

_CONFIG, _ADAPTER = "config.json", "adapter_config.json"


def recognises(folder: Path) -> bool:
    """Whether `save_pretrained` wrote this folder: a model's, or an adapter's."""
    config = _json(folder / _CONFIG)
    return _json(folder / _ADAPTER) != {} or bool({"model_type", "architectures"} & config.keys())


def loaded(folder: Path) -> tuple[Any, tuple[str, ...]]:
    """The model as it was saved, an adapter merged into its base, and notes."""
    import transformers

    adapter = _json(folder / _ADAPTER)
    if adapter:
        return _merged(folder, Path(str(adapter.get("base_model_name_or_path"))))
    name = str(next(iter(_json(folder / _CONFIG).get("architectures") or ()), "AutoModel"))
    kind: Any = getattr(transformers, name, None)
    if not hasattr(kind, "from_pretrained"):  # another class would leave out what this one adds
        raise UsageError(
            f"the folder {folder} is of {name!r}, which is no model of transformers: load it with "
            "its own code, in a factory"
        )
    model, info = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    drawn = sorted(info["missing_keys"])
    more = f" and {len(drawn) - 3} more" if len(drawn) > 3 else ""
    lacking = f"not in {folder.name}, so drawn at random: {', '.join(drawn[:3])}{more}"
    return model, (f"{type(model).__name__} from {folder}", *([lacking] if drawn else []))


def _merged(folder: Path, base: Path) -> tuple[Any, tuple[str, ...]]:
    """An adapter merged into the model that it was trained on."""
    try:
        from peft import PeftModel
    except ImportError:
        raise UsageError(f"{folder} is an adapter of PEFT's: pip install peft") from None
    if not base.is_dir():
        raise UsageError(
            f"the adapter {folder} changes {str(base)!r}, which is no folder here: fetch that "
            f"model first and write its path into {_ADAPTER}"
        )
    model, notes = loaded(base)
    whole = PeftModel.from_pretrained(model, folder).merge_and_unload()
    return whole, (*notes, f"the adapter {folder} is merged into it")


def _json(file: Path) -> dict[str, Any]:
    """What a file says; nothing where there is none, or none of ours."""
    try:
        document = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
