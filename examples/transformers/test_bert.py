"""A transformers model, built from its config without a download."""

import os

import pytest
import torch

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture
def bert():
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        vocab_size=500,
    )
    return transformers.BertModel(config).eval()


@pytest.mark.portable(targets=["onnx", "torchscript", "torch_export"])
def test_bert(modelport, bert):
    ids, mask = torch.randint(0, 500, (2, 9)), torch.ones(2, 9, dtype=torch.int64)
    shorter = mask.clone()
    shorter[1, 5:] = 0
    modelport(bert, (ids, mask), samples=[(torch.randint(0, 500, (2, 9)), shorter)])
