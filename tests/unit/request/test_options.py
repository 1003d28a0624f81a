"""One list of arguments: `verify`, the fixture, portable classes and strategies speak of it."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, fields

import pytest

from pytest_modelport import UsageError, strategies, verify
from pytest_modelport.plugin.fixture import Modelport
from pytest_modelport.plugin.marker import KEYWORDS
from pytest_modelport.plugin.portable_classes import MEMBERS
from pytest_modelport.request.options import Options

NAMES = [item.name for item in fields(Options)]
#: What a run says for its tests, so that the fixture has no argument for it.
OF_THE_RUN = {"replay", "baseline"}
#: What `verify` takes about the request itself: the marker and pytest's options in a test.
OF_THE_REQUEST = {
    *("targets", "transforms", "devices", "checks"),
    *("seed", "workdir", "in_process"),
}
SUBJECT = ["model", "args", "kwargs"]


def parameters(function):
    return dict(inspect.signature(function).parameters)


def test_verify_takes_every_option_with_its_default():
    taken = parameters(verify)
    assert {*taken} - {*SUBJECT} == {*NAMES} | OF_THE_REQUEST
    for name in NAMES:
        assert taken[name].default == getattr(Options(), name), name


def test_the_fixture_takes_every_option_and_nothing_else():
    taken = parameters(Modelport.__call__)
    assert [*taken] == ["self", *SUBJECT, *(name for name in NAMES if name not in OF_THE_RUN)]
    options = [taken[name] for name in taken if name in NAMES]
    assert all(item.default is None for item in options)  # what the run says, else the default
    assert all(item.kind is item.KEYWORD_ONLY for item in options)


def test_members_of_a_class_are_the_fixtures_parameters():
    assert {*MEMBERS} == {*parameters(Modelport.__call__)} - {"self", "model"}


def test_strategies_take_some_of_them():
    assert {*parameters(strategies.samples)} - {*SUBJECT} <= {*NAMES}


def test_the_markers_keywords_are_options_or_about_the_request():
    assert {*KEYWORDS} <= {*NAMES} | OF_THE_REQUEST


def test_each_has_a_line_about_it():
    lines = [item.metadata["about"] for item in fields(Options)]
    assert all(line[0].islower() and len(line) < 160 for line in lines)


def test_what_is_not_given_keeps_its_default_and_the_last_word_wins():
    run = Options.of({"timeout": 5.0, "rtol": None, "model": object()})
    assert (run.timeout, run.rtol, run.examples) == (5.0, None, 25)
    call = run.given({"timeout": None, "examples": 0, "undecided": 0.1})
    assert (call.timeout, call.examples, call.undecided) == (5.0, 0, 0.1)
    with pytest.raises(FrozenInstanceError):
        call.timeout = 3.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"timeout": 0}, "timeout is 0: give a positive number of seconds"),
        ({"threads": 1.5}, "threads is 1.5: give a positive whole number"),
        ({"imports": "os"}, "imports is 'os': give a list of module names"),
        ({"imports": ["no.such"]}, "imports names 'no.such': there is no such module"),
        ({"rtol": 1e-3}, "rtol without atol"),
        ({"domain": "iee"}, "unknown domain 'iee': did you mean 'ieee'"),
        ({"size": {"mib": 1}}, "unknown size budget 'mib'"),
        ({"metric": 3}, "metric is 3: give a function that takes the model"),
        ({"baseline": "nowhere"}, "baseline 'nowhere' is not a folder"),
    ],
)
def test_values_that_make_no_sense_are_refused(arguments, message):
    def used(options):
        options.check()
        return (
            options.tolerance,
            options.search,
            options.budgets,
            options.modules,
            options.hooks({}),
        )

    used(Options())
    with pytest.raises(UsageError, match=f"^{message}"):
        used(Options(**arguments))
