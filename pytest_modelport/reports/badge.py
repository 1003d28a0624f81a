"""A badge: how many routes of a report are green, as SVG."""

from __future__ import annotations

from xml.sax.saxutils import escape

from pytest_modelport.core.report import Report
from pytest_modelport.core.verdict import worst

#: Pixels that a letter of the badge's font takes on average at 11 px.
_LETTER, _PAD = 6.6, 12
_COLOURS = {True: "#2c7a2c", False: "#b3261e"}
_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20"
 role="img" aria-label="{label}: {text}">
<title>{label}: {text}</title>
<rect width="{left}" height="20" fill="#444"/>
<rect x="{left}" width="{right}" height="20" fill="{colour}"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="{label_at}" y="14">{label}</text><text x="{text_at}" y="14">{text}</text></g>
</svg>
"""


def render(report: Report, *, passed: bool | None = None) -> str:
    """`modelport | 12 of 12 routes`, green where the report is. passed: the gate's decision, where
    one was made.
    """
    decisive = [worst(verdicts) for verdicts in report.items.values()]
    outcomes = [verdict.passed for verdict in decisive if "xfail" not in verdict.evidence]
    label, text = "modelport", f"{sum(outcomes)} of {len(outcomes)} routes"
    left, right = (round(len(part) * _LETTER) + _PAD for part in (label, text))
    return _SVG.format(
        width=left + right,
        left=left,
        right=right,
        label=escape(label),
        text=escape(text),
        colour=_COLOURS[report.as_expected if passed is None else passed],
        label_at=left / 2,
        text_at=left + right / 2,
    )
