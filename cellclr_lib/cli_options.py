"""List the options of every command, and read them together with the settings of its stage.

The settings are dataclasses of the stages themselves, so ``--help`` shows each field with its comment and default.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional

STORE = Annotated[Positional[Path], tyro.conf.arg(metavar="STORE")]
_SCREEN = Annotated[Positional[Path], tyro.conf.arg(metavar="SCREEN")]
_CHECKPOINT = Annotated[Positional[Path], tyro.conf.arg(metavar="CHECKPOINT")]
_FEATURES = Annotated[Positional[Path], tyro.conf.arg(metavar="FEATURES")]
_PROFILES = Annotated[Positional[Path], tyro.conf.arg(metavar="PROFILES")]
TAKE_ADDRESSES = ("--mirror", "--address")  # options whose value is an address
_SET = tyro.conf.UseAppendAction[tuple[str, ...]]
_ONE_OF = tyro.conf.create_mutex_group(required=False)


@dataclass(frozen=True)
class Simulate:
    """Write a simulated screen in BBBC021's layout."""

    screen: _SCREEN  #: folder to write
    size: Literal["default", "smoke", "full_size"] = "default"  #: how large, where no setting says otherwise
    config: Path | None = None  #: YAML file with fields of SimulationConfig
    set: _SET = ()  #: NAME=VALUE, a field with its value as in such a file; repeatable
    jobs: int | None = None  #: worker processes; None: one per processor


@dataclass(frozen=True)
class Download:
    """Fetch the real screen: its tables, then plates."""

    screen: _SCREEN  #: folder to write
    plates: Annotated[tuple[str, ...], _ONE_OF] = ()  #: these plates; without any, only the tables are fetched
    moa_only: Annotated[bool, _ONE_OF] = False  #: all plates with annotated wells
    all: Annotated[bool, _ONE_OF] = False  #: all 55 plates
    mirror: str | None = None  #: address of a folder with the same files; None: the publisher's
    keep: bool = False  #: keep the archives after unpacking


@dataclass(frozen=True)
class Crop:
    """Cut the cells of a screen into a store."""

    screen: _SCREEN  #: folder of a screen in BBBC021's layout
    store: STORE  #: folder to write
    config: Path | None = None  #: YAML file with fields of CropConfig
    set: _SET = ()  #: NAME=VALUE, a field with its value as in such a file; repeatable
    plates: tuple[str, ...] = ()  #: only these plates
    jobs: int | None = None  #: worker processes; None: one per processor


@dataclass(frozen=True)
class Train:
    """Train an encoder on a store with SimCLR."""

    store: STORE  #: folder of a store
    config: Path | None = None  #: YAML file with fields of TrainConfig
    set: _SET = ()  #: NAME=VALUE, a field with its value as in such a file; repeatable


@dataclass(frozen=True)
class Embed:
    """Turn every cell of a store into features."""

    checkpoint: _CHECKPOINT  #: checkpoint file of a training
    store: STORE  #: folder of a store
    features: _FEATURES  #: file to write (.npy), (cells, D) float32


@dataclass(frozen=True)
class Evaluate:
    """Score features: NSC, NSCB and drop."""

    store: STORE  #: folder of the store that the features were made from
    features: _FEATURES  #: features (.npy), one row per cell of the store
    protocol: Literal["strict", "published"] = "strict"  #: how weeks are compared
    out: Path | None = None  #: also write the table as CSV


@dataclass(frozen=True)
class Export:
    """Write well profiles for pycytominer, copairs or scanpy."""

    store: STORE  #: folder of the store that the features were made from
    features: _FEATURES  #: features (.npy), one row per cell of the store
    profiles: _PROFILES  #: file to write: .parquet (Metadata_* columns) or .h5ad (AnnData)
    post: str = "none"  #: post-processing: none, z_score, whitening or tvn


@dataclass(frozen=True)
class Reproduce:
    """Go the whole way: screen, crops, training, scores."""

    screen: Path = Path("BBBC021")  #: folder of the screen
    out: Path = Path("reproduction")  #: folder to write
    config: Path | None = None  #: YAML file with fields of Reproduction
    set: _SET = ()  #: NAME=VALUE, a field with its value as in such a file; repeatable
    dry_run: bool = False  #: only say what it would cost
    redo: bool = False  #: remove what an earlier run left in the folder, and begin anew


def parse(options: type, arguments: Sequence[str], *, base: Any = None, prog: str) -> Any:
    """Read the options of a command and its settings: those of ``--config``, of ``--set``, then single options.

    Parameters
    ----------
    options : dataclass type
        Of the options; comments of its fields become the help.
    arguments : sequence of str
    base : dataclass instance, optional
        Settings where neither the file nor an option says otherwise.
    prog : str
        The program's name in the help.

    Returns
    -------
    options, or options and settings
        Instances of the two dataclasses.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing, or a setting is unknown or impossible.
    SystemExit
        With 0 after ``--help``, with 2 if an option is unknown or cannot be read.
    """
    from cellclr_lib.settings import from_dict, load_yaml, to_dict

    refuse_addresses(arguments)
    how: dict[str, Any] = {"prog": prog, "args": list(arguments), "use_underscores": True}
    how["config"] = (tyro.conf.FlagCreatePairsOff,)
    if base is None:
        return tyro.cli(options, **how)
    if file := early_option("--config", arguments):
        base = load_yaml(type(base), file, base=base)
    if fields := _early_options("--set", arguments):
        values = to_dict(base)
        for field in fields:
            _set_field(values, field)
        base = from_dict(type(base), values, "--set")
    no_prefix = tyro.conf.arg(name="")

    def both(options: Any, settings: Any = base) -> tuple[Any, Any]:
        return options, settings

    both.__doc__ = options.__doc__
    both.__annotations__ = {"options": Annotated[options, no_prefix], "settings": Annotated[type(base), no_prefix]}
    return tyro.cli(both, **how)


def refuse_addresses(arguments: Sequence[str]) -> None:
    """Raise ValueError where an address such as ``s3://bucket`` stands in the place of a local file or folder."""
    for before, text in pairwise(["", *arguments]):
        option, _, value = text.partition("=") if text.startswith("--") else (before, "", text)
        if option not in TAKE_ADDRESSES and re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", value):
            raise ValueError(f"{text} is an address; only local files and folders are read and written here")


def early_option(name: str, arguments: Sequence[str]) -> str | None:
    """Read one option that decides the defaults of the others."""
    return next(reversed(_early_options(name, arguments)), None)


def _early_options(name: str, arguments: Sequence[str]) -> list[str]:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(name, dest="values", action="append", default=[])
    values: list[str] = parser.parse_known_args(arguments)[0].values
    return values


def _set_field(values: dict[str, Any], field: str) -> None:
    """Put NAME=VALUE into the settings `values`, in place; a name may have dots."""
    from cellclr_lib.settings import parse_yaml

    name, equals, text = field.partition("=")
    if not equals:
        raise ValueError(f"--set takes NAME=VALUE, not {field!r}")
    *path, last = name.split(".")
    for step in path:
        if not isinstance(values.get(step), dict):
            raise ValueError(f"--set: unknown entry {name!r}")
        values = values[step]
    values[last] = parse_yaml(text, f"--set {name}")
