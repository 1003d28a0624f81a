"""transformers: any architecture from its config or model class, nothing downloaded.

`transformers:BertConfig?hidden_size=64&num_hidden_layers=2`, `transformers:BertForMaskedLM?tiny`.
Options are the config's own, dotted for configs inside (`vision_config.image_size=32`); `tiny`
shrinks everything else. Folders that `save_pretrained` wrote are loaded as they are, adapters of
PEFT's merged into their base.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport.backends.libraries._transformers_folders import loaded, recognises
from pytest_modelport.core.errors import UsageError, unknown
from pytest_modelport.core.sample import Sample
from pytest_modelport.request.model_names import converted

if TYPE_CHECKING:
    from torch import nn

__all__ = ["REQUIRES", "build", "from_folder", "recognises"]

REQUIRES = {"transformers": "transformers>=4.56"}
_ROWS, _LENGTH = 2, 7
_VOCABULARY = 128
#: Ids of special tokens in a small vocabulary; others are counted down from its end, where no
#: sample has ids.
_SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
_ORDINARY = 100
#: Side of an image of which four stages, each of half the size of the one before, leave a window.
_WINDOWED = 64
#: What `tiny` makes of a config's fields: a pattern for whole names, and the largest value left.
_TINY: tuple[tuple[str, int], ...] = (
    (r"vocab_size|\w+_vocab_size|codebook_size", _VOCABULARY),
    (
        r"(?!num_feat_extract_)(\w+_)?(num_layers|n_layers?|num_blocks|layers|depth|num_\w*layers)",
        2,
    ),
    (r"(\w*_)?(num_key_value_heads|num_kv_heads|n_kv_heads?|kv_heads)", 2),
    (r"(\w*_)?(attention_heads|heads|n_heads?|num_\w*heads)", 4),
    (r"head_dim|d_kv|v_head_dim|\w+_head_dim|rotary_dim", 8),
    (r"\w*(intermediate_size|ffn_dim|ffn_size|ff_dim|d_ff|n_inner|mlp_dim|ffn_hidden_size)", 64),
    (
        r"\w*(hidden_size|hidden_dim|d_model|n_embd|embed_dim|embedding_size|embed_size|emb_dim|model_dim|projection_dim)",
        32,
    ),
    (r"(\w*_)?(num_experts|num_local_experts|n_routed_experts|moe_num_experts)", 4),
    (r"(\w*_)?(num_experts_per_tok|moe_topk|moe_k|top_k)", 2),
    (r"n_group|topk_group", 1),
    (r"\w*(max_position_embeddings|n_positions|max_seq_len|max_sequence_length)", 128),
    (r"image_size|input_size", 32),
    (r"patch_size", 8),
    (r"window_size", 2),
    (r"q_lora_rank|kv_lora_rank", 16),
)


def build(name: str, options: Mapping[str, str]) -> tuple[nn.Module, Sample]:
    """The model in eval mode with weights from seed 0, and a sample that its signature asks for.

    Raises `UsageError` when there is no such class, when an option is not the config's, or when no
    inputs can be inferred.
    """
    import torch

    config_class, model_class = _classes(name)
    settings = {key: value for key, value in options.items() if key != "tiny"}
    overrides = _shrunk(config_class()) if "tiny" in options else {}
    for key, text in settings.items():
        _set(overrides, config_class(), key, text)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = config_class(**overrides)
        model: Any = (
            model_class(config)
            if hasattr(model_class, "config_class")
            else model_class.from_config(config)
        )
        return model.eval(), _sample(model, name)


def from_folder(folder: Path) -> tuple[nn.Module, Sample, tuple[str, ...]]:
    """The model in eval mode, a sample that its signature asks for, and notes. Nothing is fetched
    and no code in the folder is run. Raises `UsageError`, and what transformers and PEFT raise.
    """
    model, notes = loaded(folder)
    return model.eval(), _sample(model, str(folder)), notes


def _classes(name: str) -> tuple[Any, Any]:
    """The config class and the model class (or `AutoModel`) that a name means."""
    import transformers

    if not hasattr(transformers, name):
        raise unknown(
            "class of transformers",
            name,
            [known for known in dir(transformers) if known.endswith(("Config", "Model"))],
        )
    found = getattr(transformers, name)
    if isinstance(found, type) and issubclass(found, transformers.PretrainedConfig):
        return found, transformers.AutoModel
    if (
        isinstance(found, type)
        and issubclass(found, transformers.PreTrainedModel)
        and found.config_class is not None
    ):
        return found.config_class, found
    raise UsageError(f"transformers.{name} is neither a config nor a model: name one of those")


def _shrunk(config: Any) -> dict[str, Any]:
    """Arguments for the config's class that make a small model."""
    import transformers

    small: dict[str, Any] = {}
    for key, value in vars(config).items():
        if isinstance(value, transformers.PretrainedConfig):
            small[key] = {**_shrunk(value), "model_type": value.model_type}
        elif (
            key.endswith(("_token_id", "_token_index"))
            and isinstance(value, int)
            and value >= _VOCABULARY
        ):
            small[key] = _SPECIAL.get(key, _VOCABULARY - 1 - len(small) % 20)
        elif isinstance(value, int) and not isinstance(value, bool):
            limit = _limit(key)
            if limit is not None and value > limit:
                small[key] = limit
        elif key in (
            "hidden_sizes",
            "embed_dims",
            "depths",
            "num_heads",
            "encoder_hidden_sizes",
            "neck_hidden_sizes",
        ):
            small[key] = _steps(key, value)
    if "window_size" in small and isinstance(getattr(config, "image_size", None), int):
        small["image_size"] = min(config.image_size, _WINDOWED)
    return small


def _limit(key: str) -> int | None:
    return next((limit for pattern, limit in _TINY if re.fullmatch(pattern, key)), None)


def _steps(key: str, values: Any) -> Any:
    """A list with one entry for each stage: depths become 1, heads 2, widths grow from 16."""
    if not isinstance(values, (list, tuple)) or not all(isinstance(value, int) for value in values):
        return values
    if key == "depths":
        return [1 for _ in values]
    return (
        [2 for _ in values]
        if key == "num_heads"
        else [16 * (1 + number) for number in range(len(values))]
    )


def _set(overrides: dict[str, Any], config: Any, key: str, text: str) -> None:
    """One option, in the config it is about."""
    first, _, rest = key.partition(".")
    if not hasattr(config, first):
        raise unknown(f"option of {type(config).__name__}", first, sorted(vars(config)))
    if rest:
        inner = overrides.setdefault(first, {"model_type": getattr(config, first).model_type})
        _set(inner, getattr(config, first), rest, text)
    else:
        overrides[first] = converted(text)


def _sample(model: Any, name: str) -> Sample:
    """Inputs by the names in `forward`. Raises `UsageError` where they are not known."""
    import torch

    wanted = inspect.signature(model.forward).parameters
    makers: dict[str, Callable[[], Any]] = {
        "input_ids": lambda: _ids(model),
        "pixel_values": lambda: _images(model),
        "input_values": lambda: torch.randn(_ROWS, 4000),
        "input_features": lambda: _features(model),
    }
    kwargs: dict[str, Any] = {}
    main = model.main_input_name
    for key in dict.fromkeys((main, *makers)):
        if (
            key in wanted
            and key in makers
            and (key == main or _required(wanted[key]) or _multimodal(model, key))
        ):
            kwargs[key] = makers[key]()
    if not kwargs:
        raise UsageError(
            f"inputs of transformers:{name} cannot be inferred: give args or kwargs; "
            f"it takes {', '.join(wanted)}"
        )
    if "input_ids" in kwargs and "attention_mask" in wanted:
        kwargs["attention_mask"] = torch.ones_like(kwargs["input_ids"])
    if model.config.is_encoder_decoder and "decoder_input_ids" in wanted:
        kwargs["decoder_input_ids"] = _ids(model)[:, :5]
    if "bbox" in wanted:
        kwargs["bbox"] = torch.tensor([10, 20, 30, 40]).expand(_ROWS, _LENGTH, 4).clone()
    return Sample((), {key: kwargs[key] for key in wanted if key in kwargs})


def _required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD


def _multimodal(model: Any, key: str) -> bool:
    """Whether a model that joins two encoders needs both inputs."""
    both = (
        hasattr(model.config, "text_config")
        and hasattr(model.config, "vision_config")
        and hasattr(model, "vision_model")
    )
    return both and hasattr(model, "text_model") and key in ("input_ids", "pixel_values")


def _ids(model: Any) -> Any:
    import torch

    config = model.config.get_text_config()
    special = [getattr(config, f"{kind}_token_id", None) for kind in ("bos", "eos", "pad")]
    low = max([3, *(int(value) + 1 for value in special if isinstance(value, int) and value < 64)])
    return torch.randint(low, max(min(config.vocab_size, _ORDINARY), low + 1), (_ROWS, _LENGTH))


def _images(model: Any) -> Any:
    import torch

    config = next(
        (
            getattr(model.config, key)
            for key in ("vision_config", "backbone_config")
            if hasattr(model.config, key)
        ),
        None,
    )
    config = config if hasattr(config, "image_size") else model.config
    size = getattr(config, "image_size", 64)
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    return torch.randn(_ROWS, getattr(config, "num_channels", 3), height, width)


def _features(model: Any) -> Any:
    import torch

    config = model.config
    if hasattr(config, "num_mel_bins") and hasattr(config, "max_source_positions"):
        return torch.randn(_ROWS, config.num_mel_bins, 2 * config.max_source_positions)
    return torch.randn(
        _ROWS,
        32,
        getattr(config, "feature_projection_input_dim", getattr(config, "num_mel_bins", 80)),
    )
