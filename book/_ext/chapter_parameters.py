"""Sphinx extension: build the book with other parameters, as papermill runs it.

``python book/build.py --params FILE`` gives the path of the file in the variable `CELLCLR_PARAMS`. The file holds
one mapping per chapter (``training: {epochs: 2}``).
"""

import os
import re
from pathlib import Path

import yaml
from sphinx.errors import ExtensionError

CELL = re.compile(r"(```\{code-cell\}[^\n]*\n:tags: \[parameters\]\n)(.*?)(\n```)", re.DOTALL)


def set_parameters(source, values, chapter):
    """Set parameters in the text of a page.

    Parameters
    ----------
    source : str
        MyST Markdown with one cell tagged `parameters`, one assignment a line.
    values : dict of str to object
    chapter : str
        Its name, for error messages.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the page has no such parameter.
    """
    cell = CELL.search(source)
    lines = cell[2] if cell else ""
    for name, value in values.items():
        lines, found = re.subn(rf"(?m)^{re.escape(name)} *=[^#\n]*", f"{name} = {value!r}  ", lines)
        if not found:
            raise ValueError(f"chapter {chapter!r} has no parameter {name!r}")
    return source[: cell.start(2)] + lines + source[cell.end(2) :] if cell else source


def read_source(app, docname, source):
    """Replace the parameters of a page before it is executed."""
    values = app.config.cellclr_parameters.get(Path(docname).name)
    if values:
        try:
            source[0] = set_parameters(source[0], values, Path(docname).name)
        except ValueError as error:
            raise ExtensionError(f"{os.environ['CELLCLR_PARAMS']}: {error}") from error


def setup(app):
    """Connect to Sphinx."""
    file = os.environ.get("CELLCLR_PARAMS")
    parameters = yaml.safe_load(Path(file).read_text(encoding="utf-8")) if file else {}
    app.add_config_value("cellclr_parameters", parameters, "env", [dict])
    app.connect("source-read", read_source)
    return {"parallel_read_safe": True}
