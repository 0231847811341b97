"""What the book's own Sphinx extensions compute: reading times, the API reference, links to chapters."""

from dataclasses import fields
from pathlib import Path

import pytest
from sphinx.pycode import ModuleAnalyzer

from cellclr_lib.data import CropConfig, SimulationConfig
from cellclr_lib.learning import TrainConfig
from cellclr_lib.pipeline.reproduction import Reproduction
from cellclr_lib.views import ViewConfig

BOOK = Path(__file__).resolve().parent.parent / "book"


@pytest.fixture(autouse=True)
def extensions(monkeypatch):
    monkeypatch.syspath_prepend(BOOK / "_ext")


PAGE = """---
kernelspec: ignored words here
---
# Two words

```{code-cell} ipython3
x = 1
```

```{code-cell} ipython3
:tags: [hide-input]
many words that nobody sees until unfolded
```

```{code-cell} ipython3
---
mystnb:
  figure:
    caption: also unseen
tags: [hide-input]
---
plot()
```
"""


def test_hidden_code_and_front_matter_are_not_read():
    from reading_time import words

    assert words(PAGE) == 2 + 3 - 1  # "Two words", and "x 1" of the visible cell


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (250, 1), (2000, 10), (3100, 16)])
def test_minutes_follow_the_words(count, expected):
    from reading_time import minutes

    assert minutes("word " * count) == expected


@pytest.mark.parametrize("settings", [SimulationConfig, CropConfig, ViewConfig, TrainConfig, Reproduction])
def test_the_reference_knows_the_meaning_of_every_setting(settings):
    """Autodoc shows the comments of fields that begin with ``#:``."""
    comments = ModuleAnalyzer.for_module(settings.__module__).find_attr_docs()
    for field in fields(settings):
        assert comments.get((settings.__name__, field.name)), field.name


def test_every_mentioned_chapter_exists():
    """Docstrings say which chapter explains them; the number must be that of the page."""
    from api_reference import MENTION, chapter_labels

    labels = chapter_labels(BOOK)
    assert sorted(labels) == list(range(1, 11))
    for file in (BOOK.parent / "cellclr_lib").rglob("*.py"):
        for number, _ in MENTION.findall(file.read_text()):
            assert int(number) in labels, f"{file.name} mentions chapter {number}"


def test_labels_are_read_from_the_headings(tmp_path):
    from api_reference import chapter_labels

    (tmp_path / "b.md").write_text("---\nx: y\n---\n\n(chapter-b)=\n# Chapter 12: B\n")
    (tmp_path / "words.md").write_text("(words)=\n# Words\n")
    assert chapter_labels(tmp_path) == {12: "chapter-b"}


CHAPTER = """text

```{code-cell} ipython3
:tags: [parameters]
epochs = 10          # passes over the cells
post = "z_score"     # shown first
```

```{code-cell} ipython3
epochs = epochs + 1
```
"""


def test_parameters_of_a_page_are_set():
    from chapter_parameters import set_parameters

    changed = set_parameters(CHAPTER, {"epochs": 2, "post": "tvn"}, "training")
    assert "epochs = 2  # passes over the cells\npost = 'tvn'  # shown first\n```" in changed
    assert "epochs = epochs + 1" in changed and changed.startswith("text\n")
    assert set_parameters("no code", {}, "references") == "no code"


def test_a_misspelt_parameter_is_named():
    from chapter_parameters import set_parameters

    with pytest.raises(ValueError, match="chapter 'training' has no parameter 'epoch'"):
        set_parameters(CHAPTER, {"epoch": 2}, "training")
