"""Sphinx extension: plotly.js and MathJax come from the installed packages, never from a CDN."""

import importlib.util
import os
import shutil
from pathlib import Path

BUNDLES = {
    "plotly.min.js": ("plotly", "package_data/plotly.min.js"),
    "tex-svg.js": ("mathjax", "static/mathjax/es5/tex-svg.js"),  # package django-static-mathjax
}


def bundle(name):
    """Path of a JavaScript bundle inside the installed package that ships it."""
    package, inside = BUNDLES[name]
    spec = importlib.util.find_spec(package)
    path = None if spec is None else Path(spec.origin).parent / inside
    if path is None or not path.is_file():
        raise FileNotFoundError(f"{name} was not found in package {package!r}: pip install -e '.[book]'")
    return path


def copy_bundles(app, exception):
    """Place the bundles in the finished book."""
    if exception is None and app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        static.mkdir(parents=True, exist_ok=True)
        for name in BUNDLES:
            shutil.copyfile(bundle(name), static / name)


def drop_thebe(app, pagename, templatename, context, doctree):
    """Leave out Thebe, which Jupyter Book always loads: it runs cells on servers that an offline page lacks."""
    for kind in ("script_files", "css_files"):
        context[kind] = [f for f in context[kind] if "thebe" not in f"{f.filename}{f.attributes}".lower()]


def setup(app):
    """Connect to Sphinx."""
    # Read by cellclr_lib.plots in every kernel that this build starts: figures become bare <div>s.
    os.environ["CELLCLR_FIGURES"] = "book"
    app.connect("build-finished", copy_bundles)
    app.connect("html-page-context", drop_thebe, priority=990)
    app.add_js_file("plotly.min.js", loading_method="defer", priority=100)
    app.add_js_file("thumbnails.js", loading_method="defer", priority=800)
    app.add_js_file(
        "figures.js", loading_method="defer", priority=900
    )  # announces the figures that thumbnails.js waits for
    app.add_css_file("figures.css", priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
