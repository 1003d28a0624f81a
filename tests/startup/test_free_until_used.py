"""Without a portable test Modelport costs next to nothing and imports nothing heavy, from start to
end.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "rich",
    "hypothesis",
    "transformers",
)

RUN = """
import json, sys
import pytest

class Watch:
    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self, config):
        print("LOADED", json.dumps([name for name in {heavy!r} if name in sys.modules]))
        print("OURS", json.dumps("pytest_modelport.plugin" in sys.modules))

sys.exit(pytest.main(["-p", "no:hypothesispytest", "-p", "no:cacheprovider", "-q", *sys.argv[1:]], plugins=[Watch()]))
"""


def run(folder, body, *options):
    (folder / "test_it.py").write_text(body)
    code = RUN.format(heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", code, *options], cwd=folder, capture_output=True, text=True
    )
    found = {
        line.split()[0]: json.loads(line.partition(" ")[2])
        for line in done.stdout.splitlines()
        if line.startswith(("LOADED", "OURS"))
    }
    return done, found


@pytest.mark.parametrize(
    "options", [(), ("--collect-only",), ("--modelport-strict",), ("--benchmark",)], ids=str
)
def test_nothing_heavy_is_imported_without_a_portable_test(tmp_path, options):
    done, found = run(tmp_path, "def test_plain(): pass", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert found == {"LOADED": [], "OURS": True}


def test_collecting_a_portable_test_imports_nothing_heavy_either(tmp_path):
    body = "import pytest\n@pytest.mark.portable(targets=['onnx', 'torchscript'])\ndef test_net(modelport): ..."
    done, found = run(tmp_path, body, "--collect-only")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_it.py::test_net[onnx-cpu]" in done.stdout
    assert found["LOADED"] == []


def test_importing_the_plugin_imports_few_modules():
    """Each costs every run of pytest, portable tests or not. How long it takes is the machine's."""
    code = """
import sys
import pytest
before = set(sys.modules)
import pytest_modelport.plugin
print(*sorted(name for name in set(sys.modules) - before if not name.startswith("_")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = done.stdout.split()
    ours = [name.removeprefix("pytest_modelport") for name in names if "modelport" in name]
    assert ours == [
        "",
        ".core",
        ".core.route",
        ".plugin",
        *(f".plugin.{name}" for name in ("gather", "options", "read_settings", "releases")),
        *(f".plugin.{name}" for name in ("second_turn", "settings", "stash")),
    ]
    assert not set(names) & set(HEAVY)


def test_the_public_names_are_there_and_importing_the_package_is_light():
    code = """
import sys
import pytest_modelport
light = not {"torch", "numpy", "pytest"} & set(sys.modules)
for name in pytest_modelport.__all__:
    assert getattr(getattr(pytest_modelport, name), "__name__", name) == name
assert "pytest" not in sys.modules
print(light)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_verify_works_without_pytest_being_imported():
    code = """
import sys, torch
from pytest_modelport import verify, Report
report = verify(torch.nn.Linear(2, 2), torch.ones(1, 2), targets=["torchscript"])
assert report.passed, report
assert Report.from_json(report.to_json()) == report
assert not any(name == "pytest" or name.startswith("_pytest") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
