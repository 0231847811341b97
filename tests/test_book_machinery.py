"""The scripts that build and run the book: parameters checked by name, failures loud, downloads that work."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BOOK = Path(__file__).resolve().parent.parent / "book"
HEADER = (
    "---\njupytext:\n  text_representation:\n    extension: .md\n    format_name: myst\nkernelspec:\n"
    "  display_name: Python 3\n  language: python\n  name: python3\n---\n\n# {title}\n\n"
    "```{{code-cell}} ipython3\n:tags: [parameters]\nsize = 1  # anything\n```\n\n"
    "```{{code-cell}} ipython3\n{code}\n```\n"
)


@pytest.fixture
def small_book(tmp_path):
    """A repository of two chapters beside the real runner."""
    (tmp_path / "book").mkdir()
    shutil.copy(BOOK / "run_chapters.py", tmp_path / "book")
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/first\nparts:\n- chapters:\n  - file: book/second\n  - file: book/words\n"
    )
    (tmp_path / "book/words.md").write_text("# Only words\n")
    write(tmp_path, "first", "print(size)")
    write(tmp_path, "second", "print(size * 2)")
    return tmp_path


def write(folder, name, code):
    (folder / f"book/{name}.md").write_text(HEADER.format(title=name, code=code))


def run(folder, parameters="{}", *chapters):
    (folder / "params.yaml").write_text(parameters)
    command = [sys.executable, "book/run_chapters.py", *chapters, "--params", "params.yaml", "--out", "out"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)


def test_chapters_run_with_their_parameters(small_book):
    done = run(small_book, "second: {size: 21}")
    assert done.returncode == 0, done.stderr
    notebook = json.loads((small_book / "out/second.ipynb").read_text())
    printed = "".join(o["text"][0] for c in notebook["cells"] for o in c.get("outputs", []) if "text" in o)
    assert printed.strip() == "42"
    names = [line.split(",")[0] for line in (small_book / "out/times.csv").read_text().splitlines()]
    assert names == ["chapter", "first", "second"]


def test_one_chapter_can_be_run(small_book):
    done = run(small_book, "{first: {size: 3}, second: {size: 21}}", "second")
    assert done.returncode == 0, done.stderr
    assert (small_book / "out/second.ipynb").exists() and not (small_book / "out/first.ipynb").exists()


def test_an_unknown_chapter_is_named(small_book):
    done = run(small_book, "{}", "frist")
    assert done.returncode == 2
    assert "frist" in done.stderr and "second" in done.stderr


@pytest.mark.parametrize(
    ("parameters", "named"), [("first: {sise: 2}", "'sise'"), ("frist: {size: 2}", "'frist'")]
)
def test_a_misspelt_name_stops_before_anything_runs(small_book, parameters, named):
    done = run(small_book, parameters)
    assert done.returncode == 2
    assert named in done.stderr
    assert not (small_book / "out/times.csv").exists()


def test_the_first_failing_chapter_ends_the_run_with_its_traceback_last(small_book):
    write(small_book, "first", "size / 0")
    done = run(small_book)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr.strip().splitlines()[-1]
    assert "first" in done.stderr
    assert not (small_book / "out/second.ipynb").exists()


def test_downloaded_notebooks_hold_figures_that_jupyter_draws(monkeypatch):
    monkeypatch.syspath_prepend(BOOK / "_ext")
    import notebook_download

    from cellclr_lib.plots.style import BookRenderer

    figure = {"data": [{"y": [1, 2], "name": "</script><b>"}], "layout": {"height": 300}}
    html = BookRenderer().to_mimebundle(figure)["text/html"]
    assert html.count("</script>") == 1
    notebook = {"cells": [{"outputs": [{"data": {"text/html": [html]}}, {"data": {"text/html": "<p>"}}]}]}
    drawn, table = notebook_download.for_jupyter(notebook)["cells"][0]["outputs"]
    assert drawn["data"] == {"application/vnd.plotly.v1+json": figure}
    assert table["data"] == {"text/html": "<p>"}


def test_bundles_come_from_installed_packages(monkeypatch):
    monkeypatch.syspath_prepend(BOOK / "_ext")
    import offline_assets

    for name in offline_assets.BUNDLES:
        assert offline_assets.bundle(name).stat().st_size > 1e6
    monkeypatch.setitem(offline_assets.BUNDLES, "x.js", ("no_such_package", "x.js"))
    with pytest.raises(FileNotFoundError, match="no_such_package"):
        offline_assets.bundle("x.js")
