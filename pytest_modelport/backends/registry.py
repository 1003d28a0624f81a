"""The registry: formats, runtimes, transforms, checks and model libraries, known by their names.

Names are known without importing what they name. An item is imported when it is first asked for,
and held to the contract there and then. One of another package's that does not import, or does not
keep the contract, is broken: whoever asks for it by name gets `BrokenItem`, and nobody else
notices.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from pytest_modelport.backends.contract import is_live
from pytest_modelport.backends.item_faults import item_faults
from pytest_modelport.core.errors import BrokenItem, UsageError, unknown
from pytest_modelport.core.package import ROOT
from pytest_modelport.core.target import Kind, Target, parse, typed

if TYPE_CHECKING:
    from pytest_modelport.backends.contract import (
        Check,
        Format,
        Library,
        Runtime,
        Transform,
    )

#: What there are items of. Other packages offer theirs through the entry point group
#: `pytest_modelport.<group>`.
GROUPS = ("formats", "runtimes", "transforms", "checks", "libraries")


@dataclass(frozen=True)
class Broken:
    """An item that cannot be used, and why."""

    group: str
    name: str
    reason: str

    @property
    def kind(self) -> str:
        """What it is: `format`, `library`."""
        return _kind(self.group).rpartition(" ")[2]


def _folder(group: str) -> Path:
    return ROOT / group if group == "checks" else ROOT / "backends" / group


@cache
def _foreign(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    """What other packages offer, by name; two where two packages offer one name.

    Asked once: it reads the metadata of everything that is installed.
    """
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=f"pytest_modelport.{group}"):
        found[point.name] = (*found.get(point.name, ()), point)
    return found


@cache
def _own(group: str) -> tuple[str, ...]:
    """The files in the group's folder. Those with an underscore are what its files share."""
    files = pkgutil.iter_modules([str(_folder(group))])
    return tuple(sorted(file.name for file in files if not file.name.startswith("_")))


@cache
def names(group: str) -> tuple[str, ...]:
    """What there is in a group: this package's items, then other packages' entry points."""
    own = _own(group)
    return (*own, *sorted(name for name in _foreign(group) if name not in own))


def described(group: str, name: str) -> str:
    """An item with the package it is from, for messages: `format npz_mlp of package toyport`."""
    points = () if name in _own(group) else _foreign(group).get(name, ())
    packages = " and ".join(sorted({*map(_package, points)}))
    return f"{_kind(group)} {name} of package {packages}" if packages else f"{_kind(group)} {name}"


def _kind(group: str) -> str:
    return "model library" if group == "libraries" else group.removesuffix("s")


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value.partition(".")[0]


def author(module: str) -> str:
    """The other package that a module belongs to, where it offers items; empty where none does."""
    top = module.partition(".")[0]
    points = (point for group in GROUPS for many in _foreign(group).values() for point in many)
    return next((_package(point) for point in points if point.module.partition(".")[0] == top), "")


@cache
def _loaded(group: str, name: str) -> ModuleType | str:
    """The item, or why it is broken."""
    try:
        item = imported(group, name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's module may raise anything
        return f"{described(group, name)} does not import: {type(error).__name__}: {error}"
    faults = [*item_faults(group, item)]
    return f"{described(group, name)}: {'; '.join(faults)}" if faults else item


def imported(group: str, name: str) -> ModuleType:
    """The item's module, whether it keeps the contract or not. Raises what its import raises."""
    if name in _own(group):
        package = ".".join(_folder(group).relative_to(ROOT).parts)
        return importlib.import_module(f"pytest_modelport.{package}.{name}")
    points = _foreign(group)[name]
    if len(points) > 1:
        raise ImportError(f"{len(points)} packages offer it: uninstall all but one")
    return cast("ModuleType", points[0].load())


def _load(group: str, name: str) -> ModuleType:
    if name not in names(group):
        raise unknown(_kind(group), name, names(group))
    item = _loaded(group, name)
    if isinstance(item, str):
        raise BrokenItem(item)
    return item


def hold(group: str, name: str, faults: Iterable[str]) -> None:
    """Raises `BrokenItem` where an item has done something else than its contract says."""
    said = "; ".join(faults)
    if said:
        raise BrokenItem(f"{described(group, name)}: {said}")


def call(group: str, name: str, function: str, *arguments: Any) -> Any:
    """What one of an item's own functions returns. Raises `BrokenItem` for anything it raises."""
    try:
        return getattr(_load(group, name), function)(*arguments)
    except Exception as error:  # a stranger's function may raise anything
        reason = f"{function} fails: {type(error).__name__}: {error}"
        raise BrokenItem(f"{described(group, name)}: {reason}") from error


def format_(name: str) -> Format:
    """The format called `name`. Raises `UsageError` with the nearest match, `BrokenItem`."""
    item = cast("Format", _load("formats", name))
    if item.RUNTIME not in names("runtimes"):
        nobody = unknown("runtime", item.RUNTIME, names("runtimes"))
        raise BrokenItem(f"{described('formats', name)}: RUNTIME names an {nobody}")
    return item


def runtime(name: str) -> Runtime:
    """The runtime called `name`. Raises `UsageError` with the nearest match, `BrokenItem`."""
    return cast("Runtime", _load("runtimes", name))


def check(name: str) -> Check:
    """The check called `name`. Raises `UsageError` with the nearest match, `BrokenItem`."""
    return cast("Check", _load("checks", name))


def transform(name: str) -> Transform:
    """The transform called `name`. Raises `UsageError` with the nearest match, `BrokenItem`."""
    return cast("Transform", _load("transforms", name))


def library(name: str) -> Library:
    """The library called `name`. Raises `UsageError` with the nearest match, `BrokenItem`."""
    return cast("Library", _load("libraries", name))


def broken(group: str) -> Iterator[Broken]:
    """A group's items that cannot be used, and why. Imports the whole group."""
    yield from _sick(group)
    for name in _foreign(group).keys() & set(_own(group)):
        package = " and ".join(map(_package, _foreign(group)[name]))
        reason = (
            f"package {package} calls its {_kind(group)} like one of Modelport's: it is not used"
        )
        yield Broken(group, name, reason)


def _sick(group: str) -> Iterator[Broken]:
    load = format_ if group == "formats" else functools.partial(_load, group)
    for name in names(group):
        try:
            load(name)
        except BrokenItem as error:
            yield Broken(group, name, str(error))


@cache
def sound(group: str) -> tuple[str, ...]:
    """The names in a group without those that are broken. Imports the whole group."""
    sick = {item.name for item in _sick(group)}
    return tuple(name for name in names(group) if name not in sick)


def default_checks() -> tuple[str, ...]:
    """The checks that run without being named. A broken one of ours raises: none is left out."""
    asked = [name for name in names("checks") if name in _own("checks") or name in sound("checks")]
    return tuple(name for name in asked if check(name).DEFAULT)


@cache
def openers(kind: str) -> tuple[str, ...]:
    """The runtimes that open artifacts of this kind."""
    return tuple(name for name in sound("runtimes") if kind in runtime(name).OPENS)


@cache
def targets() -> tuple[str, ...]:
    """Every canonical target: each format, then the format with each runtime that is not its
    default.
    """
    found: list[str] = []
    for name in sound("formats"):
        maker = format_(name)
        others = [opener for opener in openers(maker.KIND) if opener != maker.RUNTIME]
        found += [name, *(f"{name}:{opener}" for opener in others)]
    return tuple(found)


@cache
def target(text: str) -> Target:
    """The target behind a spelling, its runtime and the values of its options filled in.

    Only the format and the runtime that it names are looked at. Raises `UsageError`, `BrokenItem`.
    """
    if not re.fullmatch(r"[\w:(),= @.-]+", text):
        raise unknown("target", text, targets())
    parsed = parse(text)
    plain = parsed.format + (f":{parsed.runtime}" if parsed.runtime else "")
    if parsed.format not in names("formats"):
        raise unknown("target", plain, targets())
    maker = format_(parsed.format)
    named = parsed.runtime or maker.RUNTIME
    if named not in names("runtimes"):
        raise unknown("target", plain, targets())
    opener = runtime(named)
    if maker.KIND not in opener.OPENS:
        raise _not_opened(parsed.format, named, plain)
    found = replace(parsed, runtime=named, environment=parsed.environment or home(opener))
    if found.environment and is_live(opener):
        reason = f"{found.runtime} runs with the model's own code, so only in this process"
        raise UsageError(f"target {text!r}: {reason}")
    return typed(found, {**options(maker), **options(opener)})


def _not_opened(maker: str, opener: str, plain: str) -> UsageError:
    """A runtime that does not open a format: the user's mistake; if it is its own, the format's."""
    kind, own = format_(maker).KIND, format_(maker).RUNTIME
    if opener != own:
        return unknown("target", plain, targets())
    opens = ", ".join(runtime(own).OPENS)
    reason = f"KIND is {kind!r}, which its RUNTIME {own} does not open (it opens {opens})"
    return BrokenItem(f"{described('formats', maker)}: {reason}")


def home(item: object) -> str:
    """The environment that a format is converted in, or a runtime opens in, unless told otherwise;
    empty for the session's.
    """
    return str(getattr(item, "ENVIRONMENT", ""))


def options(item: object) -> Mapping[str, Kind]:
    """What a route may ask of a format, runtime or transform."""
    return getattr(item, "OPTIONS", {})


@cache
def canonical(text: str) -> str:
    """The one spelling of a target (`onnx:onnxruntime` is `onnx`). Raises `UsageError` when it is
    unknown.

    A target whose format or runtime is broken is kept as it is written: its route says why.
    """
    try:
        found = target(text)
    except BrokenItem:
        return str(parse(text))
    if found.environment == home(runtime(found.runtime)):
        found = replace(found, environment="")
    default = found.runtime == format_(found.format).RUNTIME
    return str(replace(found, runtime="") if default else found)
