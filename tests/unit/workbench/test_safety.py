"""Files that would do harm are not opened, and files that tell of their maker are told."""

from __future__ import annotations

import io
import json
import os
import pickle  # noqa: TID251  (made here, and never read)
import random
import shutil
import time
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from fixtures import digits
from pytest_modelport.checks._leaks import leaks
from pytest_modelport.core.verdict import worst
from pytest_modelport.workbench.safety import dangers

X = torch.ones(2, 3)
pytestmark = pytest.mark.filterwarnings("ignore")  # of torch's own exporters


class Bomb:
    """A pickle of it runs a command."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def archive(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_that_calls_anything_else_is_found(tmp_path, protocol):
    found = dangers(
        archive(tmp_path / "model.pt", {"m/data.pkl": pickle.dumps(Bomb("x"), protocol)})
    )
    assert found == [f"model.pt: m/data.pkl: its pickle calls {os.system.__module__}.system"]


def test_a_bomb_is_not_opened_and_nothing_runs(tmp_path, prove):
    mark = tmp_path / "executed"
    files = {"torchscript": "model.pt", "torch_export": "model.pt2"}
    for target, name in files.items():
        path = archive(
            tmp_path / name, {"m/data.pkl": pickle.dumps(Bomb(mark), 2), "m/version": "3"}
        )
        verdict = worst(prove([target], nn.Linear(3, 2), X, artifact=path).verdicts)
        assert str(verdict.outcome) == "failed"
        assert verdict.reason.startswith(f"not opened: {name}: m/data.pkl: its pickle calls")
        assert not mark.exists()


def test_a_bomb_inside_an_inner_archive_is_found(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as file:
        file.writestr("x/data.pkl", pickle.dumps(Bomb("x"), 4))
    found = dangers(
        archive(tmp_path / "model.pt2", {"m/data/sample_inputs/model.pt": inner.getvalue()})
    )
    assert len(found) == 1
    assert "system" in found[0]


def test_a_pickle_by_another_name_is_found(tmp_path):
    (said,) = dangers(archive(tmp_path / "model.pt2", {"m/weights": pickle.dumps(Bomb("x"), 4)}))
    assert "m/weights: its pickle calls" in said


def program(path, model, example, shapes=None):
    torch.export.save(torch.export.export(model, (example,), dynamic_shapes=shapes), path)
    return path


def rewritten(source, path, change):
    """A copy of an archive, member by member."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.infolist():
            new.writestr(member.filename, change(member.filename, old.read(member)))
    return path


def legacy(value):
    out = io.BytesIO()
    torch.save(
        {"weight": torch.ones(3), "further": value}, out, _use_new_zipfile_serialization=False
    )
    return out.getvalue()


@pytest.mark.parametrize(
    "payload",
    [
        lambda bomb: legacy(bomb),
        lambda bomb: pickle.dumps(bomb, 0),
        lambda bomb: pickle.dumps(bomb, 2) + b"x",
        lambda bomb: pickle.dumps([1], 2) + pickle.dumps(bomb, 0),
        lambda bomb: pickle.dumps(bomb, 2) + zipped({"x/data.pkl": pickle.dumps([1], 2)}),
    ],
    ids=[
        "legacy",
        "protocol 0",
        "a byte more",
        "after a harmless one",
        "before a harmless archive",
    ],
)
def test_a_weight_that_a_program_has_unpickled_is_read(tmp_path, prove, payload):
    """torch.export.load opens such members with `weights_only=False`."""
    mark = tmp_path / "executed"
    source = program(tmp_path / "sound.pt2", nn.Linear(3, 2), X)

    def change(name, data):
        if name.endswith("weights_config.json"):
            return data.replace(b'"use_pickle": false', b'"use_pickle": true')
        return payload(Bomb(mark)) if "weights/weight_0" in name else data

    path = rewritten(source, tmp_path / "model.pt2", change)
    verdict = worst(prove(["torch_export"], nn.Linear(3, 2), X, artifact=path).verdicts)
    assert verdict.reason.startswith("not opened: model.pt2: "), verdict
    assert not mark.exists()


def zipped(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return out.getvalue()


def test_text_that_a_program_has_evaluated_is_read(tmp_path, prove):
    mark = tmp_path / "executed"
    model = nn.Linear(3, 2)
    source = program(
        tmp_path / "sound.pt2", model, torch.ones(4, 3), ({0: torch.export.Dim("batch", min=2)},)
    )
    assert dangers(source) == []
    call = f"(__import__('os').system('touch {mark}'), ".encode()

    def in_sizes(name, data):
        text = data.decode() if name.endswith("models/model.json") else ""
        old = '"expr_str": "'
        return text.replace(old, old + call.decode(), 1).encode() if text else data

    def in_guards(name, data):
        if not name.endswith("models/model.json"):
            return data
        document = json.loads(data)
        document["guards_code"].append(f"{call.decode()}1)[1]")
        return json.dumps(document).encode()

    for number, change in enumerate((in_sizes, in_guards)):
        path = rewritten(source, tmp_path / f"model-{number}.pt2", change)
        verdict = worst(prove(["torch_export"], model, torch.ones(4, 3), artifact=path).verdicts)
        assert "evaluated" in verdict.reason, verdict
    assert not mark.exists()


@pytest.mark.parametrize("data", [b"PK\x03\x04 broken", zipped({"m/data.pkl": b"x" * 99})[:-30]])
def test_a_damaged_archive_is_told(tmp_path, data):
    (tmp_path / "model.pt").write_bytes(data)
    assert dangers(tmp_path / "model.pt")


def test_archives_are_not_followed_for_ever(tmp_path):
    data = pickle.dumps(Bomb("x"), 4)
    for _ in range(4):
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as file:
            file.writestr("x/inner", data)
        data = inner.getvalue()
    (said,) = dangers(archive(tmp_path / "model.pt2", {"m/outer": data}))
    assert "an archive in an archive in an archive" in said


@pytest.mark.parametrize(
    "name", ["../outside.txt", "/etc/outside", "m/../../outside", "..\\outside"]
)
def test_members_outside_of_an_archive_are_found(tmp_path, name):
    (said,) = dangers(archive(tmp_path / "model.pt", {name: "x"}))
    assert "lies outside of it" in said


def test_an_archive_that_unpacks_to_far_more_than_it_is_is_found(tmp_path, monkeypatch):
    from pytest_modelport.workbench import safety

    monkeypatch.setattr(safety, "_LARGE", 1 << 20)
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        file.writestr("m/data.pkl", b"\0" * (1 << 24))
    monkeypatch.setattr(safety, "_BOMB", 100)
    (said,) = dangers(path)
    assert "times its size" in said


def test_a_link_is_found(tmp_path):
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / "model.onnx").symlink_to("/etc/passwd")
    assert dangers(folder) == ["model.onnx is a link to /etc/passwd"]


def test_a_link_beside_a_brought_file_is_not_followed(tmp_path, prove):
    """Its weights, say: a copy of what it points to would ship."""
    torch.manual_seed(21)
    model = nn.Linear(64, 64)
    made = prove(
        ["onnx(external_data=true)"], model, torch.ones(1, 64), checks=("parity",)
    ).verdicts[0]
    folder = tmp_path / "brought"
    shutil.copytree(made.evidence["artifact"], folder)
    (weights,) = [path for path in folder.iterdir() if path.suffix == ".data"]
    weights.rename(tmp_path / "elsewhere.data")
    weights.symlink_to(tmp_path / "elsewhere.data")
    verdict = worst(
        prove(["onnx"], model, torch.ones(1, 64), artifact=folder / "model.onnx").verdicts
    )
    assert str(verdict.outcome) == "failed"
    assert "is a link to" in verdict.reason, verdict


def test_a_pickle_that_hides_its_names_is_found(tmp_path):
    hidden = b"\x80\x04]\x93."  # a name made of a list
    (said,) = dangers(archive(tmp_path / "model.pt", {"m/data.pkl": hidden}))
    assert "cannot be read" in said


@pytest.mark.parametrize(
    "trick",
    [
        # "posix" and "system" below two harmless texts that are dropped before the name is made
        b"\x80\x04\x8c\x05posix\x8c\x06system\x8c\x0bcollections\x8c\x0bOrderedDict00\x93.",
        # a mark among them
        b"\x80\x04\x8c\x05posix\x8c\x06system(\x8c\x0bcollections\x8c\x0bOrderedDict1\x93.",
        # a number of copyreg's registry
        b"\x80\x04\x82\x01.",
        # memoized after it was dropped
        b"\x80\x04\x8c\x05posix\x8c\x06system\x8c\x01x0\x94\x8c\x01y\x8c\x01z\x930\x93.",
    ],
)
def test_a_pickle_that_plays_with_the_stack_is_found(tmp_path, trick):
    found = dangers(archive(tmp_path / "model.pt", {"m/data.pkl": trick}))
    assert any("its pickle ca" in said for said in found)


def test_a_pickle_after_a_pickle_is_found(tmp_path):
    two = pickle.dumps([1], 2) + pickle.dumps(Bomb("x"), 2)
    (said,) = dangers(archive(tmp_path / "model.pt", {"m/data.pkl": two}))
    assert "calls posix.system" in said


def test_a_name_fetched_from_the_memo_is_read(tmp_path):
    # "posix", "system" memoized, dropped, and fetched again before the name is made of them
    trick = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x9400h\x00h\x01\x93."
    (said,) = dangers(archive(tmp_path / "model.pt", {"m/data.pkl": trick}))
    assert said.endswith("its pickle calls posix.system")


def test_files_that_torch_has_written_are_harmless(tmp_path):
    model = digits.load("lstm")
    rows = digits.images(2, name="lstm")
    torch.save(model.state_dict(), tmp_path / "state.pt")
    torch.jit.save(torch.jit.trace(model, rows), tmp_path / "traced.pt")
    torch.jit.save(
        torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.ReLU())), tmp_path / "scripted.pt"
    )
    torch.export.save(torch.export.export(model, (rows,)), tmp_path / "model.pt2")
    assert dangers(tmp_path) == []


def test_external_data_outside_of_the_folder_is_refused(tmp_path, prove):
    import onnx
    from onnx import TensorProto, helper

    weight = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[3, 2], data_location=TensorProto.EXTERNAL
    )
    weight.external_data.add(key="location", value="../../../../etc/passwd")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [value("x", TensorProto.FLOAT, [2, 3])],
        [value("y", TensorProto.FLOAT, [2, 2])],
        [weight],
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()
    )
    assert onnx.load(path, load_external_data=False).graph.name == "g"
    verdict = worst(prove(["onnx"], nn.Linear(3, 2), X, artifact=path).verdicts)
    assert str(verdict.outcome) == "failed"
    assert "lie outside its folder" in verdict.reason


@pytest.mark.parametrize("target", ["onnx", "torch_export", "torchscript"])
def test_what_we_write_tells_nothing_and_keeps_what_it_computes(prove, target):
    rows = digits.images(2, name="encoder")
    report = prove([target], digits.load("encoder"), rows, checks=("parity", "hygiene"))
    assert report.passed, report
    kept = prove(
        [f"{target}(debug=true)"], digits.load("encoder"), rows, checks=("parity", "hygiene")
    )
    assert "contains the working folder" in str(kept)


def test_files_that_nobody_needs_are_told(prove, monkeypatch):
    from pytest_modelport.backends import registry

    onnx = registry.format_("onnx")
    export = onnx.export

    def leaving(request):
        (request.folder / "notes.txt").write_text("do not ship")
        return export(request)

    monkeypatch.setattr(onnx, "export", leaving)
    torch.manual_seed(20)
    target = "onnx(external_data=true)"
    verdicts = prove(
        [target], nn.Linear(64, 64), torch.ones(1, 64), checks=("parity", "hygiene")
    ).verdicts
    assert verdicts[0].passed
    assert (
        verdicts[1].reason
        == "notes.txt is not needed: the exported model opens and answers without it"
    )
    assert len(verdicts[1].evidence["idle"]) == 1  # the weights beside it are needed


def test_example_inputs_that_a_file_stores_are_told(tmp_path):
    """torch.save writes the whole storage that a slice is of: a data set, for two of its images."""
    images = digits.images(2)
    torch.export.save(torch.export.export(digits.load("cnn"), (images,)), tmp_path / "model.pt2")
    (said,) = [text for text in leaks(tmp_path) if "example inputs" in text]
    assert int(said.rpartition("(")[2].partition(" ")[0]) > 400_000


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """An ONNX file of a linear layer."""
    path = tmp_path_factory.mktemp("sound") / "model.onnx"
    torch.manual_seed(0)
    model = nn.Linear(3, 2).eval()
    torch.onnx.export(model, (X,), str(path), dynamo=True, verbose=False, external_data=False)
    return model, path.read_bytes()


def spoilt(data, number):
    """The bytes with one bit flipped, or cut short."""
    draw = random.Random(number)
    if number % 10 == 9:
        return data[: draw.randrange(len(data))]
    changed = bytearray(data)
    changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def refused_or_the_same(sound, prove, folder, number):
    model, data = sound
    path = folder / f"model-{number}.onnx"
    path.write_bytes(spoilt(data, number))
    report = prove(
        ["onnx"],
        model,
        X,
        artifact=path,
        samples=[torch.randn(2, 3, generator=torch.Generator().manual_seed(1))],
    )
    assert not any(str(verdict.outcome) == "error" for verdict in report.verdicts), report
    return report.passed


def test_a_spoilt_file_is_refused_wrong_or_the_same(sound, prove, tmp_path):
    for number in range(20):
        refused_or_the_same(sound, prove, tmp_path, number)
    assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {"model"}


@pytest.mark.full
def test_a_thousand_spoilt_files(sound, prove, tmp_path):
    """A green one must compute what the sound one does: flips in names and notes change nothing."""
    import onnxruntime

    model, _ = sound
    with torch.no_grad():
        wanted = model(X).numpy()
    for number in range(1000):
        if refused_or_the_same(sound, prove, tmp_path, number):
            session = onnxruntime.InferenceSession(tmp_path / f"model-{number}.onnx")
            (answer,) = session.run(None, {session.get_inputs()[0].name: X.numpy()})
            assert np.allclose(answer, wanted, atol=1e-6), number


HUGE = 2**40


def sizes(model):
    model.graph.initializer[0].dims[0] = HUGE


def inputs(model):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = HUGE


def outputs(model):
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = HUGE


def computed(model):
    import onnx
    from onnx import helper, numpy_helper

    one = numpy_helper.from_array(np.ones(1, np.float32))
    del model.graph.initializer[:]
    model.graph.initializer.append(numpy_helper.from_array(np.array([3, HUGE]), "shape"))
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["shape"], ["w"], value=one))
    onnx.checker.check_model(model)


def stored_elsewhere(model):
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = 1
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", str(HUGE))):
        weight.external_data.add(key=key, value=value)


@pytest.mark.parametrize("change", [sizes, inputs, outputs, computed, stored_elsewhere])
@pytest.mark.parametrize("target", ["onnx", "onnx:reference"])
def test_sizes_that_no_memory_has_are_refused(tmp_path, prove, change, target):
    from onnx import helper, numpy_helper

    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["input", "w"], ["output"])],
        "g",
        [value("input", 1, [2, 3])],
        [value("output", 1, [2, 2])],
        [numpy_helper.from_array(np.eye(3, 2, dtype=np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (tmp_path / "weights.bin").write_bytes(bytes(24))
    change(model)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    linear = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.eye(2, 3))
    started = time.monotonic()
    verdict = worst(
        prove(
            [target], linear, X, artifact=tmp_path / "model.onnx", checks=("parity", "weights")
        ).verdicts
    )
    assert str(verdict.outcome) == "failed", verdict
    assert time.monotonic() - started < 30


def test_a_program_whose_sizes_no_memory_has_is_refused(tmp_path, prove):
    model = nn.Linear(3, 2)
    torch.export.save(torch.export.export(model, (X,)), tmp_path / "sound.pt2")
    with (
        zipfile.ZipFile(tmp_path / "sound.pt2") as sound,
        zipfile.ZipFile(tmp_path / "model.pt2", "w") as huge,
    ):
        for member in sound.infolist():
            data = sound.read(member)
            changed = (
                data.replace(b'"as_int": 3', b'"as_int": %d' % HUGE)
                if member.filename.endswith(".json")
                else data
            )
            huge.writestr(member.filename, changed)
    verdict = worst(prove(["torch_export"], model, X, artifact=tmp_path / "model.pt2").verdicts)
    assert str(verdict.outcome) == "failed", verdict


def test_a_broken_archive_is_not_opened(tmp_path, prove):
    model = nn.Linear(3, 2)
    path = tmp_path / "model.pt"
    torch.jit.save(torch.jit.trace(model, X), path)
    path.write_bytes(path.read_bytes()[:-40])
    verdict = worst(prove(["torchscript"], model, X, artifact=path).verdicts)
    assert str(verdict.outcome) == "failed"
