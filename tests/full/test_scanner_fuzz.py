"""Files of strangers, ten minutes of them: whatever is in one, looking through it comes to an end."""

from __future__ import annotations

import json
import random
import resource
import time
import zipfile
from io import BytesIO

import pytest
import torch
from torch import nn

from pytest_modelport.workbench.safety import dangers
from tests.unit.workbench.test_safety import X, legacy, program

SECONDS = 600
#: One file may take so long, and all of them so many kilobytes beside what the process held.
SLOWEST, MOST = 5.0, 1 << 20
#: What makes a difference to readers of archives, pickles and JSON.
TOKENS = (
    b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"\x80\x02", b"\x80\x04", b"c__builtin__\neval\n", b".",
    b"R", b"(", b"\xff" * 4, b"\x00" * 8, b'{"expr_str": "', b"[" * 200, b'"__enum__"', b"data.pkl", b"../",
)  # fmt: skip


class Whole(nn.Module):
    def forward(self, x):
        return torch.relu(x) @ torch.ones(x.shape[-1], 2)


def seeds(folder):
    """One sound file of every kind that is looked into, as bytes, by the name that it has."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    torch.save(model.state_dict(), folder / "weights.pt")
    torch.jit.save(torch.jit.trace(model, X), folder / "traced.pt")
    program(folder / "program.pt2", Whole(), X)
    (folder / "old.pt").write_bytes(legacy(torch.ones(3)))
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    with zipfile.ZipFile(BytesIO(found["program.pt2"])) as archive:
        name = next(name for name in archive.namelist() if name.endswith("models/model.json"))
        found["model.json"] = archive.read(name)
    with zipfile.ZipFile(BytesIO(found["weights.pt"])) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        found["data.pkl"] = archive.read(name)
    return found


def mangled(data, chance):
    """The bytes with a few of them changed, removed, repeated, or others put in."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        place = chance.randrange(len(made) + 1)
        length = min(chance.choice((1, 1, 4, 64, 1024)), len(made) - place)
        match chance.randrange(6):
            case 0 if place < len(made):
                made[place] ^= 1 << chance.randrange(8)
            case 1:
                del made[place : place + length]
            case 2:
                made[place:place] = made[place : place + length] * chance.choice((1, 2, 50))
            case 3:
                made[place:place] = chance.choice(TOKENS)
            case 4:
                made[place : place + length] = chance.randbytes(length)
            case _:
                made[place : place + 4] = chance.choice((b"\xff" * 4, b"\x00" * 4, b"\x7f" * 4))
    return bytes(made)


def remade(data, chance):
    """An archive with one member mangled, so that the archive itself is sound."""
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        chosen = chance.choice(old.namelist())
        for name in old.namelist():
            inner = old.read(name)
            new.writestr(name, mangled(inner, chance) if name == chosen else inner)
    return out.getvalue()


@pytest.mark.full
@pytest.mark.timeout(2 * SECONDS)
@pytest.mark.filterwarnings("ignore")  # of torch's own exporters, and of odd literals
def test_looking_through_any_file_ends(tmp_path):
    sound, chance = tmp_path / "sound", random.Random(0)
    sound.mkdir()
    known = seeds(sound)
    assert dangers(sound) == []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    deadline, tried, refused, slowest = time.monotonic() + SECONDS, 0, 0, 0.0
    while time.monotonic() < deadline:
        name = chance.choice(list(known))
        data = known[name]
        change = remade if data.startswith(b"PK") and chance.random() < 0.6 else mangled
        path = tmp_path / name
        path.write_bytes(change(data, chance))
        started = time.monotonic()
        found = dangers(path)
        slowest = max(slowest, time.monotonic() - started)
        assert slowest < SLOWEST, json.dumps({"name": name, "bytes": path.read_bytes().hex()})
        tried, refused = tried + 1, refused + bool(found)
    grew = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{tried} files, {refused} refused, slowest {slowest:.2f} s, {grew / 1024:.0f} MB more")
    assert grew < MOST
    assert refused > tried / 10
