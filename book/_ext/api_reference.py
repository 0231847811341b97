"""Sphinx extension: the API reference is made of docstrings; settings show their comments, chapters are linked."""

import dataclasses
import inspect
import io
import re
import tokenize
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


def field_comments(cls):
    """Trailing comment of every field of a dataclass, by name; empty where there is none."""
    comments = dict.fromkeys((field.name for field in dataclasses.fields(cls)), "")
    name = None
    for token in tokenize.generate_tokens(io.StringIO(inspect.getsource(cls)).readline):
        if token.type == tokenize.NAME and token.line.strip().startswith(f"{token.string}:"):
            name = token.string
        elif token.type == tokenize.COMMENT and name in comments and not token.line.strip().startswith("#"):
            comments[name] = token.string.lstrip("# ")
        elif token.type == tokenize.NEWLINE:
            name = None
    return comments


def settings(cls):
    """Lines of reStructuredText: one definition per field of a dataclass, with type, default and comment."""
    lines, comments = ["", "Fields", "------"], field_comments(cls)
    for field in dataclasses.fields(cls):
        kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
        kind = re.sub(r"typing\.|pandas\.core\.frame\.|pathlib\.(_local\.)?", "", kind)
        default = "" if field.default is dataclasses.MISSING else f", default {field.default!r}"
        plain = re.sub(r"([\\*|`]|_(?!\w))", r"\\\1", comments[field.name])  # a comment is no reStructuredText
        lines += [f"{field.name} : {kind}{default}", f"    {plain}"]
    return lines


def complete(app, what, name, obj, options, lines):
    """Add a dataclass's fields, and links to the chapters it mentions, before Napoleon reads a docstring."""
    labels = app.env.cellclr_chapters
    text = "\n".join(lines)

    def link(mention):
        label, title = labels.get(int(mention[1])), " ".join(mention[2].split())
        return f":ref:`chapter {mention[1]}, {title} <{label}>`" if label else mention[0]

    lines[:] = MENTION.sub(link, text).split("\n")
    if what == "class" and dataclasses.is_dataclass(obj):
        lines += settings(obj)


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
    app.config.napoleon_custom_sections = [("Fields", "params_style"), ("Attributes", "params_style")]
    app.config.autodoc_typehints = "none"
    app.config.autodoc_member_order = "bysource"
    app.config.default_role = "code"  # `name` in docstrings
    app.connect("builder-inited", read_labels)
    app.connect("autodoc-process-docstring", complete, priority=100)  # before Napoleon's 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
