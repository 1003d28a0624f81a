"""Distillation: the loss against values computed by hand, and a student that learns from few
labels.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from fixtures import digits
from pytest_modelport import UsageError
from pytest_modelport.distil import distil, loss

TEACHER = torch.tensor([[math.log(3.0), 0.0]])  # 3/4 and 1/4 at temperature 1
STUDENT = torch.tensor([[0.0, 0.0]])


def test_the_loss_is_the_divergence_of_the_student_from_the_teacher():
    wanted = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert loss(STUDENT, TEACHER, temperature=1).item() == pytest.approx(wanted, rel=1e-6)
    other = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert loss(TEACHER, STUDENT, temperature=1).item() == pytest.approx(other, rel=1e-6)


def test_the_loss_of_a_student_that_is_its_teacher_is_nothing():
    assert loss(TEACHER, TEACHER).item() == pytest.approx(0, abs=1e-7)


def test_the_temperature_softens_both_and_is_made_up_for():
    root = math.sqrt(3)
    p = root / (1 + root)
    wanted = 4 * (p * math.log(p / 0.5) + (1 - p) * math.log((1 - p) / 0.5))
    assert loss(STUDENT, TEACHER, temperature=2).item() == pytest.approx(wanted, rel=1e-5)


def test_the_loss_is_a_mean_over_the_batch():
    twice = loss(STUDENT.repeat(2, 1), TEACHER.repeat(2, 1), temperature=1)
    assert twice.item() == pytest.approx(loss(STUDENT, TEACHER, temperature=1).item(), rel=1e-6)


def test_labels_have_the_rest_of_the_weight():
    labels = torch.tensor([0])
    soft, hard = loss(STUDENT, TEACHER, temperature=1).item(), math.log(2)
    assert loss(STUDENT, TEACHER, labels, temperature=1, alpha=0.3).item() == pytest.approx(
        0.3 * soft + 0.7 * hard, rel=1e-6
    )


class Small(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))


def test_a_student_learns_from_unlabelled_images_what_few_labels_do_not_teach():
    images, labels = digits.data()
    train, test, truth = (
        images[: digits.TRAINED],
        images[digits.TRAINED :],
        labels[digits.TRAINED :],
    )
    teacher = digits.load("cnn")

    def accuracy(model):
        with torch.no_grad():
            return (model(test).argmax(-1) == truth).float().mean().item()

    def fresh():
        torch.manual_seed(0)
        return Small()

    def optimizer(parameters):
        return torch.optim.Adam(parameters, 0.01)

    taught = distil(fresh(), teacher, train.split(64), epochs=12, optimizer=optimizer)
    alone = distil(
        fresh(), teacher, [(train[:50], labels[:50])], epochs=12, alpha=0.0, optimizer=optimizer
    )
    assert accuracy(taught) > 0.9
    assert accuracy(taught) > accuracy(alone) + 0.1
    assert not taught.training


def test_the_teacher_is_left_as_it_was():
    teacher = digits.load("cnn").train()
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    distil(Small(), teacher, [digits.images(8)], epochs=1)
    assert teacher.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())


def test_the_same_seed_makes_the_same_student():
    def train():
        torch.manual_seed(0)
        return distil(Small(), digits.load("cnn"), digits.images(64).split(16), epochs=2, seed=3)

    first, second = train(), train()
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batches": []}, "batches is empty"),
        ({"epochs": 0}, "epochs is 0"),
        ({"temperature": 0}, "temperature is 0"),
        ({"alpha": 1.5}, "alpha is 1.5"),
    ],
)
def test_what_cannot_be_learned_is_refused(options, said):
    with pytest.raises(UsageError, match=said):
        distil(Small(), digits.load("cnn"), **{"batches": [digits.images(4)], **options})


def test_a_student_is_priced_against_its_teacher(prove):
    def student(teacher):
        torch.manual_seed(0)
        images, _ = digits.data()
        return distil(
            Renamed(),
            teacher,
            images[: digits.TRAINED].split(64),
            epochs=6,
            optimizer=lambda given: torch.optim.Adam(given, 0.01),
        )

    class Renamed(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = Small()

        def forward(self, images):
            return self.body(images)

    def ask(**floors):
        return prove(
            ["onnx"],
            digits.load("cnn"),
            digits.images(100),
            transforms=[student],
            checks=("parity", "quality"),
            quality=floors,
        )

    good, strict = ask(top1=0.85, kl=0.5), ask(top1=0.999, kl=0.5)
    assert good.passed, good
    assert "top-1 agreement is" in str(strict)
    assert not strict.passed
