from __future__ import annotations

import json
import sys
import types

import pytest
import torch
from torch import nn

from pytest_modelport import Sample, UsageError, verify
from pytest_modelport.backends import registry
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.load_model import load


class Net(nn.Module):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.scale = scale

    def forward(self, x):
        return self.linear(x) * self.scale


def with_inputs():
    return Net().eval(), torch.ones(3, 2)


def with_keywords():
    return Net(), (), {"x": torch.ones(3, 2)}


def test_a_module_is_taken_as_it_is():
    net = Net()
    loaded = load(net)
    assert loaded.module is net
    assert (loaded.factory, loaded.sample, loaded.notes) == (None, None, ())


@pytest.mark.parametrize("model", [Net, lambda: Net(2.0), "fixtures.traits:Affine"])
def test_a_class_a_function_and_an_import_string_are_factories(model):
    loaded = load(model)
    assert isinstance(loaded.module, nn.Module)
    assert loaded.factory is not None
    assert loaded.factory() is not loaded.module


def test_another_instance_draws_other_numbers_and_the_same_each_time():
    case = build_case(lambda: nn.Linear(3, 2).eval(), torch.ones(1, 3))
    torch.manual_seed(5)
    first = case.fresh().weight
    torch.manual_seed(6)
    assert torch.equal(case.fresh().weight, first)
    torch.manual_seed(case.seed)
    assert not torch.equal(nn.Linear(3, 2).weight, first)


def test_a_factory_may_bring_inputs():
    assert torch.equal(load(with_inputs).sample.args[0], torch.ones(3, 2))
    assert load(with_keywords).sample.kwargs.keys() == {"x"}
    assert verify(with_inputs, targets=["torchscript"]).passed
    assert verify(with_keywords, targets=["torchscript"]).passed


def test_inputs_of_the_call_win():
    report = verify(with_inputs, torch.ones(7, 2), targets=["torchscript"], checks=["parity"])
    assert report.verdicts[0].evidence["sample"] == "x float32[7, 2]"


def test_a_lightning_module_knows_its_example():
    net = Net()
    net.example_input_array = torch.ones(1, 2)
    assert verify(net.eval(), targets=["torchscript"]).passed


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("fixtures.traits", "neither a folder nor an import string: write 'package.module:name'"),
        ("fixtures.traits:Afine", "did you mean 'Affine'"),
        ("no_such_module_here:x", "cannot be imported: No module named 'no_such_module_here'"),
        (lambda: 3, "the factory returned a int: it must return a torch.nn.Module, or"),
        (lambda: (3, 4), "the factory returned a tuple"),
        (3, "the model is a int"),
        ("fixtures.traits:TRAITS", "the model is a dict"),
        (nn.Linear, "Linear cannot be called without arguments"),
        (
            "transformers:BertConfg",
            "unknown class of transformers 'BertConfg': did you mean 'BertConfig'",
        ),
        (
            "transformers:BertConfig?hiden_size=3",
            "unknown option of BertConfig 'hiden_size': did you mean 'hidden_size'",
        ),
        (
            "transformers:BertConfig?hidden_size=33&num_attention_heads=2",
            "transformers:BertConfig.* cannot be built: ValueError",
        ),
        ("transformers:BertTokenizer", "is neither a config nor a model"),
        ("timm:resnet18", "model timm:resnet18 needs timm>=1; pip install 'timm>=1'"),
    ],
)
def test_what_is_no_model_is_named(model, message):
    with pytest.raises(UsageError, match=message):
        load(model)


def test_a_model_without_inputs_says_how_to_give_them():
    with pytest.raises(
        UsageError,
        match=r"no inputs for Net: give args, or let the factory return \(module, args\)",
    ):
        verify(Net, targets=["torchscript"])


def test_a_transformers_model_by_name_is_the_same_each_time():
    first, second = (load("transformers:BertConfig?tiny&num_hidden_layers=1") for _ in range(2))
    assert len(first.module.encoder.layer) == 1
    assert first.module.config.hidden_size == 32
    assert set(first.sample.kwargs) == {"input_ids", "attention_mask"}
    for left, right in zip(
        first.module.state_dict().values(), first.factory().state_dict().values(), strict=True
    ):
        assert torch.equal(left, right)
    assert torch.equal(first.sample.kwargs["input_ids"], second.sample.kwargs["input_ids"])
    assert not first.module.training


@pytest.mark.parametrize(
    ("spec", "inputs"),
    [
        ("transformers:BertForMaskedLM?tiny", {"input_ids", "attention_mask"}),
        ("transformers:ViTConfig?tiny&image_size=48", {"pixel_values"}),
        (
            "transformers:CLIPConfig?tiny&vision_config.image_size=48",
            {"input_ids", "pixel_values", "attention_mask"},
        ),
        ("transformers:T5Config?tiny", {"input_ids", "attention_mask", "decoder_input_ids"}),
        (
            "transformers:WhisperConfig?tiny&max_source_positions=40",
            {"input_features", "decoder_input_ids"},
        ),
        ("transformers:LayoutLMConfig?tiny", {"input_ids", "attention_mask", "bbox"}),
        (
            "transformers:SwinConfig?tiny",
            {"pixel_values"},
        ),  # its last stage must still hold a window
        ("transformers:DonutSwinConfig?tiny", {"pixel_values"}),
    ],
)
def test_inputs_come_from_the_signature(spec, inputs):
    loaded = load(spec)
    assert set(loaded.sample.kwargs) == inputs
    with torch.no_grad():
        loaded.module(**loaded.sample.kwargs)


def test_a_broken_library_is_named(monkeypatch, tmp_path):
    (tmp_path / "torchvision.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    with pytest.raises(
        UsageError, match="cannot be built: RuntimeError: operator torchvision::nms does not exist"
    ):
        load("torchvision:resnet18")


@pytest.mark.parametrize("library", registry.names("libraries"))
def test_a_library_offers_what_the_contract_asks(library):
    item = registry.library(library)
    assert isinstance(item, types.ModuleType)
    assert all(isinstance(text, str) for pair in item.REQUIRES.items() for text in pair)
    assert callable(item.build)


WRAPPERS = {
    "DataParallel": nn.DataParallel,
    "OptimizedModule": torch.compile,
    "AveragedModel": torch.optim.swa_utils.AveragedModel,
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.compile's own, at its first use
@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_are_taken_off_with_a_note(name):
    report = verify(
        WRAPPERS[name](Net().eval()), torch.ones(1, 2), targets=["torchscript", "state_dict"]
    )
    assert report.passed
    assert f"the model inside {name} is verified" in report.verdicts[0].notes
    assert report.verdicts[0].subject == "Net"
    assert load(lambda: WRAPPERS[name](Net())).factory().__class__ is Net


def test_a_user_class_that_is_called_like_a_wrapper_stays():
    class DataParallel(Net):
        pass

    assert type(load(DataParallel()).module) is DataParallel


def test_a_sample_of_a_factory_may_be_a_sample():
    assert load(lambda: (Net(), Sample((torch.ones(1, 2),)))).sample.args[0].shape == (1, 2)


SAVED = [
    "BertForSequenceClassification",
    "ViTForImageClassification",
    "GPT2LMHeadModel",
    "WhisperModel",
]


@pytest.mark.parametrize("name", SAVED)
def test_a_folder_of_transformers_is_loaded_as_it_was_saved(tmp_path, name):
    made = load(f"transformers:{name}?tiny")
    folder = tmp_path / "my-finetuned"
    made.module.save_pretrained(folder)
    found = load(str(folder))
    assert type(found.module) is type(made.module)
    assert not found.module.training
    assert found.notes == (f"{name} from {folder}",)
    assert set(found.sample.kwargs) == set(made.sample.kwargs)
    before = dict(made.module.named_parameters())
    for where, tensor in found.module.named_parameters():
        assert torch.equal(tensor, before[where]), where
    again = found.factory()
    assert again is not found.module


def test_weights_that_a_folder_lacks_are_told(tmp_path):
    load("transformers:BertModel?tiny").module.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["architectures"] = ["BertForSequenceClassification"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    [_, lacking] = load(str(tmp_path)).notes
    assert (
        lacking == f"not in {tmp_path.name}, so drawn at random: classifier.bias, classifier.weight"
    )


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "is none that a library knows"),
        ({"config.json": "[1]"}, "is none that a library knows"),
        ({"config.json": '{"model_type": "bert"}'}, "cannot be built: OSError"),
        (
            {"config.json": '{"architectures": ["MyNet"]}'},
            "'MyNet', which is no model of transformers",
        ),
        (
            {"adapter_config.json": '{"base_model_name_or_path": "somebody/large"}'},
            "peft|no folder here",
        ),
    ],
)
def test_a_folder_that_is_none_says_so(tmp_path, files, said):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=said):
        load(str(tmp_path))


def test_a_name_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "beside_it.py").write_text("SIZE = 3\n")
    (tmp_path / "my_own_net.py").write_text(
        "from torch import nn\nfrom beside_it import SIZE\ndef net(): return nn.Linear(SIZE, 2)\n"
    )
    assert load(f"{tmp_path}/my_own_net.py:net").module.in_features == 3
    (tmp_path / "json.py").write_text("from torch import nn\nnet = nn.Linear(3, 2)\n")
    with pytest.raises(UsageError, match="'json' is .*__init__.py here: rename"):
        load(f"{tmp_path}/json.py:net")
    with pytest.raises(UsageError, match="there is no file .*no_net.py"):
        load(f"{tmp_path}/no_net.py:net")
    with pytest.raises(UsageError, match="neither a folder nor an import string"):
        load(f"{tmp_path}/no-such-folder")
