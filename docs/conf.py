"""Sphinx: `tox -e docs` builds the site into build/site. Nothing in it is loaded from elsewhere."""

from __future__ import annotations

from typing import Any

project = "pytest-modelport"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "pytest-modelport"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
myst_heading_anchors = 3
exclude_patterns = ["*.py"]
pygments_style = "friendly"
pygments_dark_style = "monokai"
highlight_language = "text"
#: The pages in their order; on GitHub they are found through the links on them.
CONTENTS = {
    "Guide": [
        *(
            f"guide/{name}"
            for name in (
                "tests",
                "scripts",
                "targets",
                "production",
                "samples",
                "transforms",
                "budgets",
                "release",
                "extend",
            )
        ),
    ],
    "By symptom": [
        "symptoms/index",
        *(
            f"symptoms/{name}"
            for name in (
                "batch-1",
                "fixed-size",
                "wrong-branch",
                "refuses-to-export",
                "every-call",
                "second-call",
                "half-precision",
                "no-smaller",
                "garbage-in",
                "untrusted-file",
                "nothing-ran",
                "slower",
                "old-runtime",
            )
        ),
    ],
    "Reference": [
        "reference/targets",
        "reference/transforms",
        "reference/checks",
        "reference/outcomes",
        "reference/arguments",
        "reference/options",
        "reference/commands",
    ],
    "How it knows": ["explanation/green", "explanation/methods", "explanation/decisions"],
    "Measured": [
        *(
            f"measured/{name}"
            for name in (
                "deployment",
                "varying",
                "architectures",
                "transforms",
                "mutants",
                "opdb",
                "blame",
                "peer",
                "suites",
                "false_alarms",
                "wide",
                "discovery",
                "generators",
                "latency",
                "session",
                "cleanroom",
                "held",
            )
        ),
    ],
}


def with_contents(_: Any, name: str, source: list[str]) -> None:
    """The first page holds all others."""
    if name == "index":
        for caption, pages in CONTENTS.items():
            lines = ["\n```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```\n"]
            source[0] += "\n".join(lines)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", with_contents)
