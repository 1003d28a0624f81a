from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pytest_modelport import Sample, UsageError, verify
from pytest_modelport.subject.samples import BATCHES, samples_of

ONE = Sample((torch.ones(1, 2),))


def test_any_iterable_of_samples():
    found, notes = samples_of(
        iter([torch.ones(3, 2), (torch.ones(4, 2),), Sample((torch.ones(5, 2),))]), ONE
    )
    assert [len(sample.args[0]) for sample in found] == [3, 4, 5]
    assert notes == ()


def test_a_data_loader_gives_its_first_batches_without_labels():
    loader = DataLoader(TensorDataset(torch.randn(40, 2), torch.zeros(40)), batch_size=4)
    found, notes = samples_of(loader, ONE)
    assert len(found) == BATCHES
    assert all(len(sample.args) == 1 and sample.args[0].shape == (4, 2) for sample in found)
    assert notes == (f"samples: the first {BATCHES} batches of the data loader",)


def test_a_data_loader_of_dicts_gives_what_the_model_is_called_with():
    rows = [{"x": torch.randn(2), "label": 1} for _ in range(4)]
    found, notes = samples_of(DataLoader(rows, batch_size=2), Sample((), {"x": torch.ones(1, 2)}))
    assert [set(sample.kwargs) for sample in found] == [{"x"}, {"x"}]
    assert notes == ()


def test_files_of_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", input=np.ones((3, 2), np.float32))
    save_file({"input": torch.ones(4, 2)}, tmp_path / "b.safetensors")
    found, _ = samples_of([tmp_path / "a.npz", str(tmp_path / "b.safetensors")], ONE)
    assert [sample.kwargs["input"].shape for sample in found] == [(3, 2), (4, 2)]
    report = verify(
        nn.Linear(2, 2).eval(),
        torch.ones(1, 2),
        targets=["torchscript"],
        samples=tmp_path / "a.npz",
    )
    assert report.passed
    assert report.verdicts[0].evidence["calls"].keys() == {"args", "args again", "samples[0]"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (torch.ones(3, 2), "samples is a Tensor: give a list"),
        (ONE, "samples is a Sample"),
        ("gone.npz", "no sample at gone.npz"),
        ("data.csv", "sample data.csv is neither .npz nor .safetensors"),
        (3, "samples is a int"),
    ],
)
def test_what_is_no_sample_is_named(values, message):
    with pytest.raises(UsageError, match=message):
        samples_of(values, ONE)


def test_an_array_of_objects_is_not_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", input=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        samples_of(tmp_path / "a.npz", ONE)
