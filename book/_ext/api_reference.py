"""Make the API reference from docstrings and the ``#:`` comments of fields, with links to the chapters."""

import re
from pathlib import Path

MENTION = re.compile(r"\bchapter\s+(\d+),\s+\*?([a-z][a-z\s-]*[a-z])\*?")


def chapter_labels(folder):
    """Read the number of each chapter and its label from the pages' headings.

    Parameters
    ----------
    folder : path
        With pages that begin ``(chapter-views)=`` and ``# Chapter 3: Views``.

    Returns
    -------
    dict of int to str
    """
    heading = re.compile(r"^\((chapter-[a-z-]+)\)=\n# Chapter (\d+):", re.MULTILINE)
    found = (heading.search(page.read_text()) for page in sorted(Path(folder).glob("*.md")))
    return {int(match[2]): match[1] for match in found if match}


def link_chapters(app, what, name, obj, options, lines):
    """Link the chapters that a docstring mentions, before Napoleon reads it."""
    labels = app.env.cellclr_chapters
    text = "\n".join(lines)

    def link(mention):
        label, title = labels.get(int(mention[1])), " ".join(mention[2].split())
        return f":ref:`chapter {mention[1]}, {title} <{label}>`" if label else mention[0]

    lines[:] = MENTION.sub(link, text).split("\n")
    if what in ("attribute", "data", "property"):
        # Napoleon takes what stands before a colon for the type.
        lines[:] = [re.sub(r":(?=\s)", " –", line) for line in lines]


def read_labels(app):
    """Read the labels of the chapters when Sphinx starts."""
    app.env.cellclr_chapters = chapter_labels(Path(app.srcdir) / "book")


def setup(app):
    """Connect to Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.config.napoleon_google_docstring = False
    app.config.napoleon_use_param = False  # types are prose ("ndarray, shape (N, D)"), not names to be looked up
    app.config.napoleon_use_rtype = False
    app.config.napoleon_custom_sections = [("Attributes", "params_style")]
    app.config.autodoc_typehints = "none"
    app.config.autodoc_member_order = "bysource"
    app.config.default_role = "code"  # `name` in docstrings
    app.connect("builder-inited", read_labels)
    app.connect("autodoc-process-docstring", link_chapters, priority=100)  # before Napoleon's 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
