"""The clean room: real processes, killed in real ways."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.cleanroom import protocol
from pytest_modelport.cleanroom.room import Room, RoomEnded
from pytest_modelport.core.feed import Feed
from pytest_modelport.core.tensors import to_array
from pytest_modelport.isolation.jobs import Crashed, Raised, TimedOut
from tests.processes import gone
from tests.scripted import answer, artifact


def test_an_answer_comes_back(room, tmp_path):
    result = answer(
        room, artifact(tmp_path, "outputs = [('twice', Array.of(feed.inputs['x'].numpy() * 2))]")
    )
    assert [(name, array.numpy().tolist()) for name, array in result.outputs] == [
        ("twice", [0.0, 2.0, 4.0])
    ]


@pytest.mark.parametrize(
    "number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGKILL, signal.SIGTERM]
)
def test_a_death_is_an_ending_and_the_next_request_finds_a_new_room(room, tmp_path, number):
    with pytest.raises(RoomEnded) as caught:
        answer(
            room,
            artifact(
                tmp_path,
                f"import os; print('last words', flush=True); os.kill(os.getpid(), {int(number)})",
            ),
        )
    assert isinstance(caught.value.ending, Crashed)
    assert caught.value.ending.signal == number.name
    assert "last words" in caught.value.ending.tail
    assert answer(room, artifact(tmp_path, "")).outputs


def test_an_exit_is_a_crash_too(room, tmp_path):
    with pytest.raises(RoomEnded) as caught:
        answer(room, artifact(tmp_path, "import os; os._exit(0)"))
    assert caught.value.ending == Crashed("exit status 0", "")


def test_sys_exit_is_an_exception_of_the_port(room, tmp_path):
    with pytest.raises(RoomEnded) as caught:
        answer(room, artifact(tmp_path, "import sys; sys.exit(3)"))
    assert isinstance(caught.value.ending, Raised)


def test_a_hang_is_killed_in_time_and_says_where_it_was(room, tmp_path):
    folder = artifact(tmp_path, "import time; print('zzz', flush=True); time.sleep(60)")
    room.request(20, op="preload", modules=[])
    started = time.monotonic()
    with pytest.raises(RoomEnded) as caught:
        answer(room, folder, timeout=2)
    ending = caught.value.ending
    assert isinstance(ending, TimedOut)
    said, *_, where = ending.tail.splitlines()
    assert (ending.seconds, said) == (2, "zzz")
    assert re.fullmatch(r'  File "\S+", line \d+ in run', where), ending.tail
    assert time.monotonic() - started < 10
    assert answer(room, artifact(tmp_path, "")).outputs


def test_a_stopped_process_is_a_hang(room, tmp_path):
    with pytest.raises(RoomEnded) as caught:
        answer(
            room,
            artifact(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"),
            timeout=2,
        )
    assert isinstance(caught.value.ending, TimedOut)


def test_what_the_port_prints_does_not_disturb(room, tmp_path):
    code = "import os, sys; print('hello' * 10000); os.write(1, b'raw' * 10000); sys.stdout.flush()"
    assert answer(room, artifact(tmp_path, code)).outputs
    assert "hello" in room.log.read_text()
    assert "rawraw" in room.log.read_text()


def test_garbage_in_the_pipe_itself_is_an_ending(room, tmp_path):
    code = """
import os
for number in range(3, 64):
    try:
        os.write(number, b"warning: not a message " * 4)
    except OSError:
        pass
"""
    with pytest.raises(RoomEnded) as caught:
        answer(room, artifact(tmp_path, code))
    assert caught.value.ending == Crashed("garbage in its pipe", "")
    assert answer(room, artifact(tmp_path, "")).outputs


def test_closed_standard_streams_do_not_disturb(room, tmp_path):
    assert answer(room, artifact(tmp_path, "import os; os.close(0); os.close(1)")).outputs


def test_an_exception_comes_back_with_its_cause(room, tmp_path):
    with pytest.raises(RoomEnded) as caught:
        answer(room, artifact(tmp_path, "raise ValueError('rank 3 for 4')"))
    assert caught.value.ending.cause.headline == "ValueError: rank 3 for 4"


def test_inputs_reach_the_port_as_they_are(room, tmp_path):
    tensors = {
        "x": torch.arange(6.0).reshape(2, 3).t(),
        "empty": torch.zeros(0, 2),
        "b": torch.tensor(True),
    }
    code = """
x = feed.inputs["x"]
assert x.strides == (1, 3) and x.numpy().tolist() == [[0, 3], [1, 4], [2, 5]]
assert feed.inputs["empty"].shape == (0, 2) and feed.inputs["b"].numpy().item() is True
"""
    with room.open("scripted", artifact(tmp_path, code), SessionOptions(), 20) as session:
        session.run(
            Feed(
                {name: to_array(tensor, strided=True) for name, tensor in tensors.items()},
                ["tuple", []],
            ),
            0,
        )


def test_large_tensors_go_both_ways(room, tmp_path):
    big = to_array(torch.arange(20_000_000, dtype=torch.float32))
    with room.open("scripted", artifact(tmp_path, ""), SessionOptions(), 60) as session:
        result = session.run(Feed({"x": big}, ["tuple", []]), 0)
    assert np.array_equal(result.outputs[0][1].numpy(), big.numpy())


def test_nothing_is_left_on_disk_when_the_room_closes(room, tmp_path):
    given = artifact(tmp_path, "")
    answer(room, given)
    assert len(list(tmp_path.glob("wire-*"))) == 2
    room.close()
    assert list(tmp_path.glob("wire-*")) == []


def test_the_users_folder_and_modules_are_not_there(room, tmp_path, monkeypatch):
    (tmp_path / "onnx.py").write_text("raise RuntimeError('the wrong onnx')")
    monkeypatch.chdir(tmp_path)
    code = """
import sys
assert "tests" not in sys.modules and "pytest" not in sys.modules and "torch" not in sys.modules
assert not any(path.endswith("cleanroom") for path in sys.path), sys.path
import onnx
assert hasattr(onnx, "ModelProto")
"""
    assert answer(room, artifact(tmp_path, code)).outputs


def test_an_artifact_that_was_changed_is_not_opened(room, tmp_path):
    folder = artifact(tmp_path, "")
    (folder / "code.py").write_text("outputs = []")
    with pytest.raises(RoomEnded) as caught:
        answer(room, folder)
    assert "code.py is not the file that was exported" in caught.value.ending.cause.headline


def test_the_process_is_kept_from_call_to_call(room, tmp_path):
    code = "import os, numpy; outputs = [('pid', Array.of(numpy.array(os.getpid())))]"
    pids = {answer(room, artifact(tmp_path, code)).outputs[0][1].numpy().item() for _ in range(3)}
    assert len(pids) == 1
    room.close()
    assert gone(pids.pop())


def test_the_process_runs_the_threads_it_was_given(tmp_path):
    room = Room(tmp_path, threads=3)
    room.request(
        20, op="preload", modules=[]
    )  # it answers, so it is the worker and not its parent's fork
    environment = Path(f"/proc/{room._process.pid}/environ").read_bytes()
    room.close()
    assert b"OMP_NUM_THREADS=3" in environment


def test_ctrl_c_ends_the_process(room, tmp_path):
    folder = artifact(tmp_path, "import time; time.sleep(60)")
    room.request(20, op="preload", modules=[])
    pid = room._process.pid
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        answer(room, folder, timeout=30)
    assert gone(pid)


def test_a_package_that_does_not_import_is_reported(room):
    reply = room.request(20, op="preload", modules=["numpy", "surely_not_here"])
    assert reply == {
        "failed": {"surely_not_here": "ModuleNotFoundError: No module named 'surely_not_here'"}
    }


def test_half_a_message_is_the_end(tmp_path):
    path = tmp_path / "message"
    path.write_bytes(b"\x10\x00\x00\x00{")
    with path.open("rb") as stream:
        assert protocol.receive(stream) is None


def test_a_torch_artifact_does_not_need_the_users_class(tmp_path, prove):
    class Local(nn.Module):
        def forward(self, x):
            return x + 1

    assert prove(["torchscript", "torch_export"], Local(), torch.ones(2)).passed
    assert "tests" in sys.modules


def test_a_file_is_written_again_only_when_nobody_looks_into_it(room, tmp_path):
    where = artifact(tmp_path, "")
    first = answer(room, where)
    second = answer(room, where)
    assert (
        len(list(tmp_path.glob("wire-*"))) == 3
    )  # one for inputs, and one for each answer that is still there
    kept = second.outputs[0][1].numpy()
    assert first.outputs[0][1].numpy().tolist() == kept.tolist() == [0, 1, 2]
    del first, second
    with room.open("scripted", where, SessionOptions(), 20) as session:
        other = session.run(Feed({"x": to_array(torch.full((3,), 7.0))}, ["tuple", []]), 0)
    assert len(list(tmp_path.glob("wire-*"))) == 3
    room.close()
    assert list(tmp_path.glob("wire-*")) == []
    assert (kept.tolist(), other.outputs[0][1].numpy().tolist()) == ([0, 1, 2], [7, 7, 7])


def test_a_port_that_keeps_its_inputs_finds_them_unchanged(room, tmp_path):
    code = """
import builtins
builtins.kept = getattr(builtins, "kept", None) or feed.inputs["x"]
outputs = [("output", builtins.kept)]
"""
    with room.open("scripted", artifact(tmp_path, code), SessionOptions(), 20) as session:
        for number in range(3):
            given = to_array(torch.full((3,), float(number)))
            assert session.run(Feed({"x": given}, ["tuple", []]), 0).outputs[0][
                1
            ].numpy().tolist() == [0, 0, 0]
