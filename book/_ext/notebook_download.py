"""Sphinx extension: every executed page offers its notebook, outputs included, for download."""

import json
import re
from pathlib import Path

PLOTLY = "application/vnd.plotly.v1+json"
FIGURE = re.compile(r'<div class="cellclr-figure".*?<script type="application/json">(.*)</script>', re.DOTALL)


def for_jupyter(notebook):
    """Give figures Plotly's own MIME type instead of the <div> that only the built page can draw."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            figure = FIGURE.match("".join(data.get("text/html", "")))
            if figure:
                del data["text/html"]
                data[PLOTLY] = json.loads(figure.group(1))
    return notebook


def offer_notebook(app, pagename, templatename, context, doctree):
    """Write the executed notebook beside the page's source and tell the theme's download button."""
    executed = Path(app.outdir).parent / "jupyter_execute" / f"{pagename}.ipynb"
    if doctree is None or not executed.is_file():
        return
    copy = Path(app.outdir) / "_sources" / f"{pagename}.ipynb"
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(json.dumps(for_jupyter(json.loads(executed.read_text())), indent=1))
    context["ipynb_source"] = f"{pagename}.ipynb"


def setup(app):
    """Connect to Sphinx."""
    # Before the theme builds its buttons (priority 501).
    app.connect("html-page-context", offer_notebook, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
