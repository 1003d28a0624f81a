"""What a file that somebody brings may try, each seen to be refused before anything opens it."""

from __future__ import annotations

import contextlib
import json
import os
import pickle  # noqa: TID251  (made here, and never read)
import re
import struct
import time
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from pytest_modelport.core.verdict import worst
from pytest_modelport.workbench.look_through import looked_through
from pytest_modelport.workbench.safety import dangers
from tests.unit.workbench.test_safety import Bomb, X, archive, program, rewritten, zipped

pytestmark = pytest.mark.filterwarnings("ignore")  # of torch's own exporters


def sound(tmp_path):
    return program(tmp_path / "sound.pt2", nn.Linear(3, 2).eval(), X)


def members(path):
    with zipfile.ZipFile(path) as file:
        return {member.filename: file.read(member) for member in file.infolist()}


def refused(prove, path, target="torch_export"):
    """The reason why a file is not opened."""
    verdict = worst(prove([target], nn.Linear(3, 2).eval(), X, artifact=path).verdicts)
    assert str(verdict.outcome) == "failed", verdict
    return verdict.reason


@pytest.mark.parametrize(
    "name",
    [
        "data/constants/opaque_obj_x",
        "models/model.jsox",
        "data/aotinductor/model/model.so",
        "data/weights/weight_0.pt",
    ],
)
def test_a_record_that_no_program_has_is_not_opened(tmp_path, prove, name):
    held = members(sound(tmp_path))
    root = next(iter(held)).partition("/")[0]
    path = archive(tmp_path / "model.pt2", {**held, f"{root}/{name}": b"1"})
    assert f"{root}/{name}" in refused(prove, path)


def test_what_torch_writes_is_opened(tmp_path, prove):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).eval()
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(module, (X,)), path, extra_files={"notes.txt": "nothing"})
    assert dangers(path) == []
    assert prove(["torch_export"], module, X, artifact=path).passed
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.save(torch.jit.trace(module, X), tmp_path / "model.pt")
    assert dangers(tmp_path / "model.pt") == []


@pytest.mark.parametrize(
    ("operator", "inputs"),
    [
        (
            "aten.from_file.default",
            {"filename": ("string", "{}"), "shared": ("bool", True), "size": ("int", 3)},
        ),
        ("aten.save.default", {"item": ("tensor", {"name": "x"}), "filename": ("string", "{}")}),
        ("higher_order.print", {"format_str": ("string", "{}")}),
    ],
)
def test_a_program_that_calls_other_than_tensor_operators_is_not_opened(
    tmp_path, prove, operator, inputs
):
    class Sine(nn.Module):
        def forward(self, x):
            return x + torch.sin(x)

    victim = tmp_path / "victim"

    def change(name, data):
        if not name.endswith("models/model.json"):
            return data
        document = json.loads(data)
        node = document["graph_module"]["graph"]["nodes"][0]
        node["target"] = f"torch.ops.{operator}"
        node["inputs"] = [
            {"name": key, "arg": {f"as_{kind}": str(victim) if value == "{}" else value}, "kind": 1}
            for key, (kind, value) in inputs.items()
        ]
        return json.dumps(document).encode()

    path = rewritten(program(tmp_path / "sine.pt2", Sine(), X), tmp_path / "model.pt2", change)
    assert f"it calls torch.ops.{operator}" in refused(prove, path)
    assert not victim.exists()


def test_no_program_of_torchs_own_collection_is_refused(tmp_path):
    from torch._export.db.examples import all_examples

    saved = 0
    for name, case in all_examples().items():
        with contextlib.suppress(Exception):  # some are there because they cannot be exported
            made = torch.export.export(
                case.model,
                case.example_args,
                case.example_kwargs,
                dynamic_shapes=case.dynamic_shapes,
            )
            torch.export.save(made, tmp_path / f"{name}.pt2")
            saved += 1
    assert saved > 25
    assert dangers(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data + b"x", "something follows its directory"),
        (lambda data: b"x" + data, "broken archive|directory is not where|nobody's"),
        (lambda data: two_in_one(data), "directory is not where it says"),
    ],
    ids=["behind", "before", "two archives"],
)
def test_an_archive_that_readers_see_otherwise_is_not_opened(tmp_path, change, said):
    data = change(zipped({"m/data.pkl": pickle.dumps([1], 2), "m/version": b"3"}))
    (tmp_path / "model.pt").write_bytes(data if data[:1] == b"P" else b"PK\x03\x04" + data)
    found = dangers(tmp_path / "model.pt")
    assert len(found) == 1, found
    assert re.search(said, found[0]), found


def two_in_one(data):
    """A directory in front of the one that Python's reader finds: the end names the first."""
    other = zipped({"m/data.pkl": pickle.dumps(Bomb("x"), 2), "m/version": b"3"})
    end = other.rfind(b"PK\x05\x06")
    return other[:end] + data[: data.rfind(b"PK\x05\x06")] + other[end:]


def test_a_member_that_is_there_twice_is_not_opened(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as file:
        file.writestr("m/a", b"1")
        file.writestr("m/a", b"2")
    assert "is there twice" in dangers(tmp_path / "model.pt")[0]


def test_a_tree_of_inputs_imports_nothing(tmp_path, prove):
    """torch imports what an enumeration's name says when it reads a tree."""

    def change(name, data):
        if not name.endswith("models/model.json"):
            return data
        document = json.loads(data)
        for entry in document["graph_module"]["module_call_graph"]:
            spec = json.loads(entry["signature"]["in_spec"])
            inner = {"__enum__": True, "fqn": "this:s", "name": "x"}
            spec[1]["context"] = json.dumps(inner)
            entry["signature"]["in_spec"] = json.dumps(spec)
        return json.dumps(document).encode()

    path = rewritten(sound(tmp_path), tmp_path / "model.pt2", change)
    assert "its tree of inputs imports 'this'" in refused(prove, path)


class Saves(nn.Module):
    def __init__(self, path):
        super().__init__()
        self.layer, self.path = nn.Linear(3, 2), str(path)

    def forward(self, x):
        torch.save(x, self.path)
        return self.layer(x)


class Reads(nn.Module):
    def forward(self, x):
        return x, torch.from_file("/etc/hostname", shared=False, size=4, dtype=torch.uint8)


def test_torchscript_that_touches_files_is_not_opened(tmp_path, prove):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for model, called in ((Saves(victim), "torch.save"), (Reads(), "torch.from_file")):
        path = tmp_path / "model.pt"
        with pytest.warns(DeprecationWarning, match="torch.jit"):
            torch.jit.save(torch.jit.script(model), path)
        assert f"its code calls {called}" in refused(prove, path, "torchscript")
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (os.mkfifo, "model.onnx is a FIFO"),
        (lambda path: path.symlink_to("/etc/hostname"), "model.onnx is a link to /etc/hostname"),
        (lambda path: hole(path), "model.onnx is a sparse file of 40 GB, of which 0 GB"),
    ],
    ids=["fifo", "link", "hole"],
)
def test_what_is_no_plain_file_is_not_read(tmp_path, prove, make, said):
    make(tmp_path / "model.onnx")
    started = time.monotonic()
    assert said in refused(prove, tmp_path / "model.onnx", "onnx")
    assert time.monotonic() - started < 60


def hole(path):
    with path.open("wb") as file:
        file.truncate(40_000_000_000)


def test_data_behind_a_linked_folder_is_not_read(tmp_path, prove, needs):
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    path = external(tmp_path, "inner/weights.bin")
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "inner").rename(elsewhere)
    (tmp_path / "inner").symlink_to(elsewhere)
    assert "inner is a link to" in refused(prove, path, "onnx")


def external(folder, place):
    """An ONNX file of which one attribute lies in another file: y = x W + b."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    weight = numpy_helper.from_array(layer.weight.detach().numpy(), "w")
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    (folder / place).write_bytes(weight.raw_data)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=place)
    bias = numpy_helper.from_array(layer.bias.detach().numpy(), "b")
    nodes = [
        helper.make_node("Constant", [], ["w"], value=weight),
        helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 2])
    graph = helper.make_graph(nodes, "g", [given], [made], [bias])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def test_data_of_an_attribute_in_another_file_is_copied(tmp_path, prove, needs):
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    path = external(tmp_path, "inner/weights.bin")
    torch.manual_seed(0)
    layer = nn.Linear(3, 2).eval()
    report = prove(["onnx:reference"], layer, X, artifact=path, checks=["parity"])
    assert report.passed, report


def test_what_is_looked_at_is_what_is_opened(tmp_path, prove, monkeypatch):
    """The file is another as soon as it has been looked at: its copy is what counts."""
    from pytest_modelport.workbench import brought

    path, mark = sound(tmp_path), tmp_path / "executed"
    looked = brought.looked_through

    def swapped(folder, **limits):
        found = looked(folder, **limits)
        path.write_bytes(zipped({"m/data.pkl": pickle.dumps(Bomb(mark), 2)}))
        return found

    monkeypatch.setattr(brought, "looked_through", swapped)
    torch.manual_seed(0)
    verdict = prove(["torch_export"], nn.Linear(3, 2).eval(), X, artifact=path).verdicts[0]
    assert not mark.exists()
    assert "not opened" not in verdict.reason


def packed(path, body):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("m/data.pkl", body)
    return path


def test_a_small_file_that_takes_long_to_look_through_is_given_up(tmp_path, prove):
    """200 MB of a pickle's opcodes in 200 kB."""
    path = packed(tmp_path / "model.pt", b"\x80\x02" + b"N0" * 100_000_000 + b"N.")
    started = time.monotonic()
    verdict = worst(
        prove(["torchscript"], nn.Linear(3, 2).eval(), X, artifact=path, timeout=4).verdicts
    )
    assert "cannot be looked through: that takes more than 4 s" in verdict.reason
    assert time.monotonic() - started < 60


@pytest.mark.full  # it takes a minute to make one
def test_a_small_file_that_is_large_inside_is_given_up(tmp_path):
    """An archive in an archive, neither ten times larger than it is."""
    inner = tmp_path / "inner.zip"
    with zipfile.ZipFile(inner, "w") as file:
        for name, size in (("a", 400), ("b", 3_500)):
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED if name == "b" else zipfile.ZIP_STORED
            with file.open(member, "w", force_zip64=True) as out:
                for _ in range(size):
                    out.write(bytes(1_000_000))
    folder = tmp_path / "brought"
    folder.mkdir()
    with zipfile.ZipFile(folder / "model.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.write(inner, "m/inner")
    inner.unlink()
    found = looked_through(folder, timeout=100)
    assert found, folder
    assert "takes more than 1 GB" in found[0], found


def test_a_file_that_is_a_program_says_so(prove, needs):
    needs({"iree.runtime": "iree-base-runtime", "iree.turbine": "iree-turbine"})
    module = nn.Linear(3, 2).eval()
    made = prove(["iree"], module, X).verdicts[0]
    file = Path(made.evidence["artifact"], "model.vmfb")
    report = prove(["iree"], module, X, artifact=file)
    assert report.passed, report
    assert "a file of iree is a program" in " ".join(report.verdicts[0].notes)
    assert not any("is a program" in note for note in made.notes), "we made it"


def test_an_archive_of_several_disks_is_told(tmp_path):
    """Python's zipfile raises where it is only asked whether this is one (3.11)."""
    data = zipped({"m/data.pkl": pickle.dumps([1], 2)})
    end = data.rindex(b"PK\x05\x06")
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 2)
    (tmp_path / "model.pt").write_bytes(data[:end] + locator + data[end:])
    [said] = dangers(tmp_path / "model.pt")
    assert re.search("broken archive|directory is not where", said)
