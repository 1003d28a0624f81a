"""Floors of single outputs and of single transforms, asked of routes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pytest_modelport.request.transform_chain import chain_of


class Detector(nn.Module):
    """Scores of classes, and boxes."""

    def __init__(self):
        super().__init__()
        self.classes, self.boxes = nn.Linear(8, 5), nn.Linear(8, 4)

    def forward(self, x):
        classes = self.classes(x)
        return {"classes": classes, "boxes": self.boxes(x), "best": classes.argmax(-1)}


def coarse(model):
    """Boxes to about 32 dB of what they were; nothing else."""
    with torch.no_grad():
        model.boxes.weight.mul_(1.025)
    return model


@pytest.fixture
def verdicts(prove):
    def ask(quality, targets=("torchscript",), transforms=(coarse,)):
        torch.manual_seed(0)
        made = prove(
            targets,
            Detector().eval(),
            (torch.randn(64, 8),),
            transforms=transforms,
            checks=("quality",),
            quality=quality,
        )
        return [f"{verdict.outcome}: {verdict.reason}" for verdict in made.verdicts]

    return ask


def test_one_output_has_a_floor_of_its_own(verdicts):
    [said] = verdicts({"sqnr_db": 20, "cosine": 0.9, "outputs": {"boxes": {"sqnr_db": 50}}})
    assert said.startswith("failed: 'boxes': signal over error is 3")
    [said] = verdicts({"sqnr_db": 50, "cosine": 0.9, "outputs": {"boxes": {"sqnr_db": 20}}})
    assert said.startswith("passed")


def test_one_transform_has_floors_of_its_own(verdicts):
    chains = (coarse, chain_of("fp16"))
    loose = {"sqnr_db": 50, "cosine": 0.9, "transforms": {"coarse": {"sqnr_db": 20}}}
    assert [said[:6] for said in verdicts(loose, transforms=chains)] == ["passed", "passed"]
    strict = {"sqnr_db": 20, "cosine": 0.9, "transforms": {"coarse": {"sqnr_db": 50}}}
    assert [said[:6] for said in verdicts(strict, transforms=chains)] == ["failed", "passed"]


@pytest.mark.parametrize(
    ("quality", "said"),
    [
        ({"outputs": {"box": {"sqnr_db": 1}}}, "unknown output in quality outputs 'box': did you"),
        (
            {"transforms": {"fp61": {"top1": 1}}},
            "unknown transform in quality 'fp61': did you mean",
        ),
    ],
)
def test_a_name_that_is_not_there_is_an_error(verdicts, quality, said):
    [found] = verdicts({"sqnr_db": 1, "cosine": 0.1, **quality})
    assert found.startswith(f"error: {said}")


def test_a_floor_of_an_output_that_cannot_be_measured_is_not_green(verdicts):
    [said] = verdicts({"sqnr_db": 20, "cosine": 0.9, "outputs": {"best": {"sqnr_db": 5}}})
    assert said.startswith("inconclusive: quality floor 'sqnr_db' of 'best' cannot be measured")
