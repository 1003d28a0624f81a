"""What a user says about looking for samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_modelport.core.errors import UsageError, unknown
from pytest_modelport.request.recipes import Recipe

#: Which values are looked for: ordinary ones, or also those that IEEE arithmetic treats in ways of
#: its own.
DOMAINS = ("finite", "ieee")
#: What a user says of one input: its bounds, or the kinds of values it has (`"prefix"`, `["ones",
#: "prefix"]`).
InputDomain = tuple[float, float] | str | Sequence[str]


@dataclass(frozen=True)
class SearchOptions:
    """How samples are looked for. examples: how many. domain: `finite` or `ieee`. domains: what
    inputs may be, by name.

    replay: the one sample to make instead. seconds: for the subject to try them, for each port, to
    judge, and to shrink.
    """

    examples: int
    domain: str
    domains: Mapping[str, InputDomain]
    replay: Recipe | None
    seconds: float

    @property
    def wanted(self) -> bool:
        """Whether the user has asked for samples in so many words."""
        return self.replay is not None or self.domain != DOMAINS[0] or bool(self.domains)


def search_options_of(
    examples: int,
    domain: str,
    domains: Mapping[str, InputDomain] | None,
    replay: Recipe | None,
    seconds: float,
) -> SearchOptions:
    """What the user says about looking for samples, checked. Raises `UsageError`."""
    if not (isinstance(examples, int) and examples >= 0):
        raise UsageError(f"examples is {examples!r}: give a whole number")
    if not (isinstance(seconds, (int, float)) and seconds > 0):
        raise UsageError(f"search_seconds is {seconds!r}: give a positive number of seconds")
    if domain not in DOMAINS:
        raise unknown("domain", domain, DOMAINS)
    return SearchOptions(examples, domain, dict(domains or {}), replay, seconds)
