"""The site: code on its first pages is run, generated pages are those of today, and it builds."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT, blocks, run

DOCS = ROOT / "docs"
PAGES = [DOCS / "index.md", *sorted((DOCS / "symptoms").glob("*.md"))]
sys.path.insert(0, str(DOCS))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_happens(page, tmp_path):
    found = blocks(page, "python")
    assert all(block.is_test for block in found)
    assert found or page.name == "old-runtime.md" or page == DOCS / "symptoms/index.md"
    run(found, tmp_path)


def test_every_symptom_is_shown_and_in_the_list():
    listed = (DOCS / "symptoms/index.md").read_text()
    for page in PAGES[1:]:
        if page.stem != "index":
            assert f"]({page.name})" in listed, page
            assert "**Cure.**" in page.read_text() or page.stem in (
                "untrusted-file",
                "nothing-ran",
                "slower",
            ), page


def test_declared_environments_are_read(tmp_path):
    from pytest_modelport.cleanroom.environments import declared

    for page in PAGES:
        for block in blocks(page, "toml"):
            (tmp_path / "pyproject.toml").write_text(block.text)
            assert declared(tmp_path)["production"].requirements


def test_every_page_is_in_the_list_of_contents():
    import conf

    listed = {f"{name}.md" for pages in conf.CONTENTS.values() for name in pages}
    assert listed == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"index.md"}


def test_every_page_that_a_benchmark_writes_is_among_the_measured():
    sources = [page.read_text() for page in (ROOT / "benchmarks").rglob("*.py")]
    written = {path for text in sources for path in re.findall(r"docs/[\w/]+\.md", text)}
    assert written
    assert all(path.startswith("docs/measured/") for path in written)
    assert all((ROOT / path).exists() for path in written)


def test_generated_pages_are_of_today():
    import reference

    for name, page in reference.pages().items():
        assert (DOCS / f"reference/{name}.md").read_text() == page, (
            f"{name}: run python docs/reference.py"
        )


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("sphinx")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-d",
        tmp_path / "cache",
        DOCS,
        tmp_path / "site",
    ]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        loaded = re.findall(
            r"<(?:script|img|iframe)[^>]*\ssrc=\"([^\"]+)|<link[^>]*\shref=\"([^\"]+)",
            page.read_text(),
        )
        assert not [
            src or href for src, href in loaded if (src or href).startswith(("http", "//"))
        ], page
