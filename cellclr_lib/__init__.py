"""Learn what drugs do to cells, without labels: contrastive learning of single-cell phenotypes.

Data flows in this order: `data` turns a screen into single cells, `views` draws the random changes, `learning`
trains an encoder and turns cells into features, `profiles` turns features into scores. `baselines` holds what
learning must beat, `pipeline` joins the stages, `plots` draws figures. `settings` reads and saves settings,
`atomic` writes files whole or not at all, `annotations` holds the columns of a well. `cli` is the command line,
`cli_options` its options.
"""

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "annotations",
        "atomic",
        "baselines",
        "cli",
        "data",
        "learning",
        "cli_options",
        "pipeline",
        "plots",
        "profiles",
        "settings",
        "views",
    ],
)

try:
    __version__ = version("cellclr")
except PackageNotFoundError:  # run from a folder that is not installed
    __version__ = "unknown"
