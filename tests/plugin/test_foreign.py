"""Items of other packages: proven like ours, named when they are broken, and nobody else notices."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests import foreign

TEST = """
import pytest, torch

@pytest.mark.portable(targets={targets}, transforms={transforms}, checks={checks})
def test_layer(modelport):
    modelport(torch.nn.Linear(3, 2).eval(), torch.ones(1, 3))
"""


@pytest.fixture
def there(tmp_path, monkeypatch):
    """Run a command in a process that finds the foreign package."""
    site = tmp_path / "site"
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=":")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    run.site = site
    return run


def suite(there, tmp_path, *options, body=TEST, **marker):
    """What pytest prints, on one line, and each item's outcome."""
    keywords = {"targets": ["torchscript"], "transforms": ["none"], "checks": ["parity"]} | marker
    (tmp_path / "test_it.py").write_text(body.format(**keywords))
    text = there(
        "pytest", "-rA", "-p", "no:cacheprovider", "-W", "ignore", "-q", "test_it.py", *options
    )
    outcomes = re.findall(r"^(PASSED|FAILED|ERROR) test_it.py::\w+\[(.*?)\]", text, re.MULTILINE)
    return " ".join(text.split()), {name: outcome.lower() for outcome, name in outcomes}


def test_a_package_is_proven_and_one_that_does_not_import_touches_nothing_else(there, tmp_path):
    foreign.install(there.site)
    foreign.broken(there.site)
    text, found = suite(
        there,
        tmp_path,
        targets=["rowfile", "torchscript", "broken_formats", "rowfile:broken_runtimes"],
        transforms=["none", "rounded", "broken_transforms"],
    )
    assert found == {
        f"{prefix}{target}-cpu": "failed" if "broken" in prefix + target else "passed"
        for prefix in ("", "rounded-", "broken_transforms-")
        for target in ("rowfile", "torchscript", "broken_formats", "rowfile:broken_runtimes")
    }
    for kind in ("format", "runtime", "transform"):
        assert f"{kind} broken_{kind}s of package brokenport does not import: ModuleNotF" in text


LIST = """
from pytest_modelport.backends import registry

for group in registry.GROUPS:
    for item in registry.broken(group):
        print(item.kind, item.name, item.reason)
"""


def test_commands_work_beside_a_package_that_does_not_import(there):
    foreign.install(there.site)
    foreign.broken(there.site)
    assert re.search(r"^rowfile +usable$", there("pytest_modelport", "targets"), re.MULTILINE)
    text = there("pytest_modelport", "verify", "tiny:Layer", "--targets", "rowfile")
    assert text.endswith("1 route: 1 passed\npassed\n")
    named = there("pytest_modelport", "verify", "broken_libraries:Net")
    assert "library broken_libraries of package brokenport does not import" in named


def test_what_is_broken_is_listed_with_its_reason(there, tmp_path):
    foreign.install(
        there.site, {"nokind": ("rowfile", "KIND =", "KINDD ="), "onnx": ("rowfile", "", "")}
    )
    foreign.broken(there.site)
    (tmp_path / "listed.py").write_text(LIST)
    lines = there("listed").splitlines()
    assert lines[0].startswith(
        "format broken_formats format broken_formats of package brokenport d"
    )
    assert lines[1].startswith(
        "format nokind format nokind of package foreignport: KIND is missing"
    )
    assert lines[2] == (
        "format onnx package foreignport calls its format like one of Modelport's: it is not used"
    )
    kinds = ("runtime", "transform", "check", "library")
    for line, kind in zip(lines[3:], kinds, strict=True):
        assert line.startswith(f"{kind} broken_")
        assert "of package brokenport does not import: ModuleNotFoundError" in line


#: variant -> how it is made, and what its route's verdict says.
ROUTES = {
    "nokind": (("rowfile", "KIND =", "KINDD ="), "KIND is missing ('KINDD' is there: is it meant?)"),
    "nofiles": (("rowfile", "SUFFIXES =", "_S ="), "SUFFIXES is missing; it must be a tuple of file"),
    "noruntime": (("rowfile", '"rowrunner"', '"rowruner"'), "names an unknown runtime 'rowruner'"),
    "notopened": (("rowfile", '"rows"', '"row"'), "KIND is 'row', which its RUNTIME rowrunner does"),
    "notexported": (("rowfile", "return Exported", "return \"\" and Exported"), "export returned a str: it must"),
    "noargument": (("rowfile", "export(request)", "export()"), "export cannot be called as export(r"),
    "rowfile:nooptions": (("rowrunner", "self.options", "self.option"), "open returned a Session wit"),
    "rowfile:nojson": (("rowrunner", "np.__version__", "np"), "options of its session are no JSON"),
    "rowfile:noanswer": (
        ("rowrunner", "return ordered.answer(self.manifest, ", "return list("),
        "run returned a list: it must return an Answer",
    ),
    "rowfile:notuple": (("rowrunner", '("rows",)', '"rows"'), "OPENS is 'rows': it must be a tuple"),
}  # fmt: skip


def test_a_broken_format_or_runtime_is_an_error_that_names_it(there, tmp_path):
    variants = {target.rpartition(":")[2]: how for target, (how, _) in ROUTES.items()}
    foreign.install(there.site, variants)
    text, found = suite(there, tmp_path, targets=[*ROUTES, "rowfile", "torchscript"])
    sound = {"rowfile-cpu": "passed", "torchscript-cpu": "passed"}
    assert found == {**{f"{target}-cpu": "failed" for target in ROUTES}, **sound}
    for target, ((item, *_), message) in ROUTES.items():
        kind, name = foreign.GROUPS[item].removesuffix("s"), target.rpartition(":")[2]
        assert re.search(rf"{kind} {name} of package foreignport: .*?{re.escape(message)}", text), (
            target
        )
        assert f"{target}-cpu: parity error" in text


TRANSFORMS = {
    "nofloor": (("rounded", '"custom"', '"costum"'), "FLOOR is 'costum': unknown row of floors"),
    "former": (("rounded", "FLOOR =", "PRICE ="), "FLOOR is missing (PRICE is its former name)"),
    "nomodule": (
        ("rounded", "return work.module", "return 3"),
        "returned a int: it must return the",
    ),
}


def test_a_broken_transform_is_an_error_that_names_it(there, tmp_path):
    foreign.install(there.site, {name: how for name, (how, _) in TRANSFORMS.items()})
    text, found = suite(there, tmp_path, transforms=["none", *TRANSFORMS])
    wrong = {f"{name}-torchscript-cpu": "failed" for name in TRANSFORMS}
    assert found == {"torchscript-cpu": "passed", **wrong}
    for name, (_, message) in TRANSFORMS.items():
        assert f"transform {name} of package foreignport: {message}" in text


CHECKS = {
    "nodefault": (
        ("twice", "DEFAULT = False", ""),
        "check nodefault of package foreignport: DEFAULT",
    ),
    "notext": (
        ("twice", "yield workbench.verdict", "yield repr"),
        "run yields a str: it must yield",
    ),
    "raises": (
        ("twice", "    call = ", "    1 / 0; call = "),
        "package foreignport failed in raises",
    ),
}
CHECKED = """
import pytest, torch

@pytest.mark.portable(targets=["torchscript"])
def test_default(modelport):
    modelport(torch.nn.Linear(3, 2).eval(), torch.ones(1, 3))

""" + "\n".join(
    f"""
@pytest.mark.portable(targets=["torchscript"], checks=["parity", "{name}"])
def test_{name}(modelport):
    modelport(torch.nn.Linear(3, 2).eval(), torch.ones(1, 3))
"""
    for name in (*CHECKS, "twice")
)


def test_a_broken_check_is_an_error_where_it_is_named_and_nowhere_else(there, tmp_path):
    variants = {name: how for name, (how, _) in CHECKS.items()}
    variants["notext"] = (
        "twice",
        'yield workbench.verdict("twice", Stage.COMPARE, outcome, "asked twice")',
        'yield "fine"',
    )
    foreign.install(there.site, variants)
    text, _ = suite(there, tmp_path, body=CHECKED.replace("{", "{{").replace("}", "}}"))
    assert re.findall(r"FAILED test_it.py::test_(\w+)", text) == list(CHECKS)
    assert re.findall(r"PASSED test_it.py::test_(\w+)", text) == ["default", "twice"]
    for _, message in CHECKS.values():
        assert message in text


def test_two_packages_of_one_name_are_both_refused(there, tmp_path):
    foreign.install(there.site)
    foreign.install(there.site, package="secondport")
    text, _ = suite(there, tmp_path, targets=["rowfile"])
    assert (
        "rowfile of package foreignport and secondport does not import: ImportError: 2 pack" in text
    )


CONFORMANCE = """
import pytest
from pytest_modelport.extend import conformance

NAMES = {names}
QUESTIONS = [
    pytest.param(question, id=f"{name}: {question}")
    for name, group in NAMES.items()
    for question in conformance(group, name, **{"examples": ["Layer"]} if group == "libraries" else {})
]

@pytest.mark.parametrize("question", QUESTIONS)
def test_contract(question):
    question()
"""


def conforming(there, tmp_path, names, *options):
    body = CONFORMANCE.replace("{names}", repr(names)).replace("{", "{{").replace("}", "}}")
    return suite(there, tmp_path, *options, body=body)


def test_the_contract_suite_passes_what_keeps_the_contract(there, tmp_path):
    foreign.install(there.site)
    text, found = conforming(there, tmp_path, foreign.GROUPS)
    assert set(found.values()) == {"passed"}, text
    assert len(found) > 50
    assert found["tiny: Layer is built"] == "passed"


OPEN = """
def open(folder, manifest, session_options):
    return Session(folder / manifest.entry, manifest)
"""
#: Answers with the model's own weights, whatever the file holds.
EAGERLY = """
LIVE = True


def open(folder, manifest, session_options, subject):
    session = Session(folder / manifest.entry, manifest)
    session.weight, session.bias = (p.detach().numpy() for p in subject.module.parameters())
    return session
"""
#: variant -> how it is made, a question that it fails, and what that says.
WRONG = {
    "nofiles": (("rowfile", "SUFFIXES =", "_S ="), "SUFFIXES is as", "SUFFIXES is missing"),
    "heavy": (("rowfile", '"""A', 'import torch\n"""A'), "importing it", "imports torch"),
    "zeros": (("rowrunner", ".T + self.bias", ".T * 0"), "small networks are", "failed in parity"),
    "eagerly": (("rowrunner", OPEN, EAGERLY), "a file that has other", "other weights is passed"),
    "onmodel": (("rounded", '"subject"', '"model"'), "ON is the model", "ON is 'model'"),
    "once": (("twice", 'verdict("twice"', 'verdict("one"'), "a healthy route", "are called 'one'"),
    "training": (("tiny", ".eval()", ""), "Layer is built", "the model is in train mode"),
    "unseeded": (("tiny", "torch.manual_seed(0)", "pass"), "Layer is built", "two builds have other"),
    "wrongerror": (("tiny", "raise UsageError(", "raise KeyError("), "a name that is", "KeyError"),
}  # fmt: skip


def test_the_contract_suite_sees_what_is_wrong(there, tmp_path):
    variants = {name: how for name, (how, *_) in WRONG.items()}
    foreign.install(there.site, variants)
    names = {name: foreign.GROUPS[how[0]] for name, how in variants.items()}
    asked = " or ".join(sorted({question.split()[0] for _, question, _ in WRONG.values()}))
    text, found = conforming(there, tmp_path, names, "-k", asked)
    for name, (_, question, message) in WRONG.items():
        [outcome] = [out for it, out in found.items() if it.startswith(f"{name}: {question}")]
        assert outcome == "failed", name
        assert message in text, name
