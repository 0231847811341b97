"""Sphinx extension: the role ``reading-time`` writes how long a page takes to read, computed from its words."""

import re
from pathlib import Path

from docutils import nodes

WORDS_PER_MINUTE = 200  # of a reader who follows an argument; code is read word by word, too
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```\s*$", re.DOTALL | re.MULTILINE)
HIDDEN = re.compile(
    r"^:tags:.*\b(hide-input|remove-input|remove-cell)\b|^tags:.*\b(hide-input|remove-cell)\b", re.MULTILINE
)


def words(source):
    """Words that a reader of the built page sees: prose, and code unless it is folded or removed.

    Parameters
    ----------
    source : str
        MyST Markdown of a page.

    Returns
    -------
    int
    """
    text = re.sub(r"\A---\n.*?\n---\n", "", source, flags=re.DOTALL)
    text = CELL.sub(lambda cell: "" if HIDDEN.search(cell[1]) else cell[1], text)
    return len(re.findall(r"[^\W_]+(?:['’.-][^\W_]+)*", text))


def minutes(source):
    """Minutes to read a page of MyST Markdown, at least 1."""
    return max(1, round(words(source) / WORDS_PER_MINUTE))


def reading_time(role, rawtext, text, line, inliner, options=None, content=None):
    """Write the role: the computed number, then `text` ("minutes")."""
    env = inliner.document.settings.env
    count = minutes(Path(env.doc2path(env.docname)).read_text())
    return [nodes.Text(f"{count} {text}")], []


def setup(app):
    """Connect to Sphinx."""
    app.add_role("reading-time", reading_time)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
