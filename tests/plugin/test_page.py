"""The page in a real browser: it renders, its filters work, it asks nobody for anything, and axe
finds nothing to say.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_modelport import Outcome, Report, Route, Stage, Verdict
from pytest_modelport.reports.write import written

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
#: Where axe.min.js lies; `.ci/run` fetches it, and then a browser must be there too.
AXE = Path(os.environ.get("AXE_CORE", "/nonexistent/axe.min.js"))


def verdict(target, outcome, **evidence):
    return Verdict(
        Route(target),
        "parity",
        Stage.COMPARE,
        outcome,
        f"<b>{target}</b> & {outcome}",
        evidence,
        ("a note",),
        1.5,
        "test_net",
        "test_it.py",
    )


REPORT = Report(
    (
        verdict("onnx", Outcome.PASSED, needs=0.3, allowance={"source": "noise", "factor": 2.5}),
        verdict("tvm", Outcome.FAILED, needs=170.0, allowance={"source": "noise", "factor": 2.5}),
        verdict("litert", Outcome.SKIPPED),
        Verdict(
            Route("onnx"),
            "latency",
            Stage.BUDGET,
            Outcome.PASSED,
            "p50 is 1 ms",
            {"runs_ms": [1.0, 1.2, 0.9, 3.0]},
            (),
            2.0,
            "test_net",
            "test_it.py",
        ),
    ),
    {"torch": "2.13.0", "python": "3.11"},
)

#: Asks the page itself, and writes what it finds into the document's title.
PROBE = """
window.addEventListener("load", async () => {
  const errors = window.__errors;
  const visible = () => Array.from(document.querySelectorAll(".route")).filter((route) => !route.hidden).map((route) => route.dataset.outcome);
  const found = {all: visible()};
  const box = document.querySelector("input[value=passed]");
  box.click();
  found.withoutPassed = visible();
  box.click();
  const search = document.querySelector("input[type=search]");
  search.value = "LITERT";
  search.dispatchEvent(new Event("input", {bubbles: true}));
  found.searched = visible();
  found.shown = document.getElementById("shown").textContent;
  search.value = "";
  search.dispatchEvent(new Event("input", {bubbles: true}));
  for (const part of document.querySelectorAll("details")) part.open = true;
  found.requests = performance.getEntriesByType("resource").map((entry) => entry.name).filter((name) => !name.startsWith("data:"));
  found.wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
  if (window.axe) {
    const result = await axe.run(document, {resultTypes: ["violations"]});
    found.violations = result.violations.map((one) => one.id + ": " + one.nodes.map((node) => node.html).join(" | ").slice(0, 300));
  }
  found.errors = errors;
  document.body.innerHTML = "<pre id=found></pre>";
  document.getElementById("found").textContent = JSON.stringify(found);
});
"""


@pytest.fixture
def browser(tmp_path):
    """Opens a page and says what is in it afterwards."""
    if BROWSER is None:
        (pytest.fail if "AXE_CORE" in os.environ else pytest.skip)(
            "no chromium: apt-get install chromium"
        )

    def run(page, *arguments):
        command = [
            BROWSER,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=20000",
            *arguments,
        ]
        done = subprocess.run(
            [*command, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.stdout

    return run


def probed(tmp_path, axe=""):
    """The page with a script that tries it."""
    path = tmp_path / "report.html"
    written(path, REPORT, [("fixed", "test_net onnx-cpu was failed and passes now")])
    text = path.read_text()
    first = "<script>window.__errors = []; window.addEventListener('error', (event) => window.__errors.push(event.message));</script>"
    path.write_text(
        text.replace("<head>", f"<head>{first}").replace(
            "</body>", f"<script>{axe}</script><script>{PROBE}</script></body>"
        )
    )
    return path


def found_in(dom):
    start = dom.index('<pre id="found">') + len('<pre id="found">')
    return json.loads(
        dom[start : dom.index("</pre>", start)]
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
    )


def test_the_page_renders_filters_and_asks_nobody(browser, tmp_path):
    found = found_in(browser(probed(tmp_path)))
    assert found["all"] == ["failed", "skipped", "passed"]
    assert found["withoutPassed"] == ["failed", "skipped"]
    assert found["searched"] == ["skipped"]
    assert found["shown"] == "1 shown"
    assert found["requests"] == []
    assert found["errors"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--force-dark-mode", "--blink-settings=preferredColorScheme=0"),
        ("--window-size=390,844",),
    ],
)
def test_everyone_can_read_the_page(browser, tmp_path, arguments):
    if not AXE.is_file():
        (pytest.fail if "AXE_CORE" in os.environ else pytest.skip)(
            "no axe-core: npm pack axe-core, and AXE_CORE=.../axe.min.js"
        )
    found = found_in(browser(probed(tmp_path, AXE.read_text()), *arguments))
    assert found["violations"] == []
    assert not found["wide"]


def test_what_verdicts_say_is_text_and_no_markup(tmp_path):
    path = tmp_path / "report.html"
    written(path, REPORT)
    assert "<b>onnx</b>" not in path.read_text()
    assert "&lt;b&gt;onnx&lt;/b&gt;" in path.read_text()
