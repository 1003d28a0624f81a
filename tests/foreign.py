"""A package of somebody else's that offers one item of each kind, written into a folder by a test."""

from __future__ import annotations

from pathlib import Path

FILES = {
    "rowfile": '''
"""A linear layer as an .npz of its weights."""

from pytest_modelport.extend import Array, Exported, TensorSpec

REQUIRES, EXTRA = {"numpy": "numpy"}, ""
DEVICES = ("cpu",)
KIND = "rows"
RUNTIME = "rowrunner"
SUFFIXES = (".npz",)
CALL = "named"


def export(request):
    import numpy as np

    if type(request.module).__name__ != "Linear":
        raise ValueError(f"only Linear, not {type(request.module).__name__}")
    np.savez(request.folder / "rows.npz", **{
        name: tensor.detach().numpy() for name, tensor in request.module.named_parameters()
    })
    inputs = tuple(request.value(item.name) for item in request.inputs.tensors)
    return Exported("rows.npz", CALL, inputs, tuple(TensorSpec(n, "float32") for n in request.outputs))


def constants(folder, manifest):
    import numpy as np

    with np.load(folder / manifest.entry) as file:
        for name in file.files:
            yield name, Array.of(file[name])


def inspect(path):
    return (), (), ()
''',
    "rowrunner": '''
"""A product and a sum in NumPy."""

from pytest_modelport.extend import ordered

REQUIRES, EXTRA = {"numpy": "numpy"}, ""
DEVICES = ("cpu",)
OPENS = ("rows",)


class Session:
    def __init__(self, path, manifest):
        import numpy as np

        with np.load(path) as file:
            self.weight, self.bias = file["weight"], file["bias"]
        self.manifest = manifest
        self.options = {"numpy": np.__version__}

    def run(self, feed):
        [x] = ordered.arrays(self.manifest, feed)
        return ordered.answer(self.manifest, [x @ self.weight.T + self.bias])


def open(folder, manifest, session_options):
    return Session(folder / manifest.entry, manifest)
''',
    "rounded": '''
"""Weights rounded to three decimals."""

REQUIRES, EXTRA = {"torch": "torch"}, ""
ON = "subject"
FLOOR = "custom"


def apply(work):
    import torch

    with torch.no_grad():
        for parameter in work.module.parameters():
            parameter.copy_(parameter.round(decimals=3))
    return work.module
''',
    "twice": '''
"""Does one sample get one answer?"""

from pytest_modelport.extend import Outcome, Stage

DEFAULT = False


def run(workbench):
    call = workbench.case.calls[0]
    with workbench.session() as session:
        one, two = (session.run(workbench.feed(call), call.seed) for _ in range(2))
    outcome = Outcome.PASSED if one.same(two) else Outcome.FAILED
    yield workbench.verdict("twice", Stage.COMPARE, outcome, "asked twice")
''',
    "tiny": '''
"""One layer."""

from pytest_modelport.extend import Sample, UsageError

REQUIRES = {"torch": "torch"}


def build(name, options):
    import torch

    if name != "Layer":
        raise UsageError(f"unknown model {name!r}: known: Layer")
    torch.manual_seed(0)
    return torch.nn.Linear(int(options.get("width", 3)), 2).eval(), Sample.of(torch.ones(1, 3))
''',
}
GROUPS = {
    "rowfile": "formats",
    "rowrunner": "runtimes",
    "rounded": "transforms",
    "twice": "checks",
    "tiny": "libraries",
}


#: name of a variant -> item that it is made from, a text in its file, and what stands there instead.
Variants = dict[str, tuple[str, str, str]]


def install(site: Path, variants: Variants | None = None, package: str = "foreignport") -> Path:
    """Write the package with its entry points into a folder for `sys.path`."""
    folder, info = site / package, site / f"{package}-1.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    info.mkdir(exist_ok=True)
    (folder / "__init__.py").write_text("")
    texts, groups = dict(FILES), dict(GROUPS)
    for name, (item, old, new) in (variants or {}).items():
        assert old in FILES[item], (item, old)
        texts[name] = FILES[item].replace(old, new) if old else FILES[item]
        groups[name] = GROUPS[item]
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    lines = [
        f"[pytest_modelport.{group}]\n{name} = {package}.{name}" for name, group in groups.items()
    ]
    (info / "entry_points.txt").write_text(_sections(lines))
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
    return site


def broken(site: Path) -> Path:
    """A package whose every item cannot be imported."""
    info = site / "brokenport-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    groups = dict.fromkeys(GROUPS.values())
    lines = [f"[pytest_modelport.{group}]\nbroken_{group} = brokenport.nowhere" for group in groups]
    (info / "entry_points.txt").write_text(_sections(lines))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brokenport\nVersion: 1\n")
    return site


def _sections(lines: list[str]) -> str:
    """Entry points by their group, each group once."""
    sections: dict[str, list[str]] = {}
    for line in lines:
        group, entry = line.split("\n")
        sections.setdefault(group, []).append(entry)
    return "\n".join("\n".join([group, *entries]) for group, entries in sections.items()) + "\n"
