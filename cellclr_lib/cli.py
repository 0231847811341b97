"""Run the stages from a screen to a score, one command per stage; each calls one library function.

``python -m cellclr_lib COMMAND --help`` lists every setting of a stage with its default. Settings come from a
YAML file (``--config``), single ones from options of their names (``--epochs 3``, ``--views.crop_area 0.5 1``).
Exit status: 0 done, 1 something is wrong with the input (said in one line), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cellclr_lib.cli_options import (
    Crop,
    Download,
    Embed,
    Evaluate,
    Export,
    Reproduce,
    Simulate,
    Train,
    early_option,
    parse,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : list of str, optional
        As on the command line, without the program's name.

    Returns
    -------
    int
        Exit status.

    Raises
    ------
    SystemExit
        With 0 after ``--help``, with 2 if the usage is wrong.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    command = _parser().parse_args(arguments[:1]).command
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    start = time.time()
    try:
        made = COMMANDS[command][1](arguments[1:])
    except (FloatingPointError, ImportError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command resumes where it stopped", file=sys.stderr)
        return 130
    print(f"{made} ({(time.time() - start) / 60:.1f} min)")
    return 0


def _parser() -> argparse.ArgumentParser:
    """Make the parser of the command's name."""
    listed = "\n".join(f"  {name:<10} {options.__doc__}" for name, (options, _) in COMMANDS.items())
    top = argparse.ArgumentParser(
        prog="python -m cellclr_lib",
        usage="python -m cellclr_lib COMMAND [OPTIONS]",
        description=(__doc__ or "").split("\n")[0],
        epilog=f"commands:\n{listed}\n\nThe options and settings of one: python -m cellclr_lib COMMAND --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("command", choices=COMMANDS, help=argparse.SUPPRESS)
    return top


def _read(command: str, arguments: Sequence[str], base: Any = None) -> Any:
    return parse(COMMANDS[command][0], arguments, base=base, prog=f"python -m cellclr_lib {command}")


def _simulate(arguments: Sequence[str]) -> str:
    from cellclr_lib.data import Screen, SimulationConfig, simulate

    sizes = {"smoke": SimulationConfig.smoke, "full_size": SimulationConfig.full_size}
    base = sizes.get(early_option("--size", arguments) or "default", SimulationConfig)()
    options, config = _read("simulate", arguments, base)
    return f"simulated: {Screen(simulate(config, options.screen, jobs=options.jobs))}"


def _download(arguments: Sequence[str]) -> str:
    options = _read("download", arguments)
    from cellclr_lib.data import archives

    base = options.mirror or archives.BBBC021
    screen = archives.download_tables(options.screen, base=base)
    known = list(screen.fields["plate"].unique())
    plates = known if options.all else archives.annotated_plates(screen) if options.moa_only else options.plates
    if unknown := sorted(set(plates) - set(known)):
        raise ValueError(f"BBBC021 has no plate {', '.join(unknown)}; there are {', '.join(known)}")
    if not plates:
        return f"fetched: the tables of {screen}; plates come with --plates, --moa_only or --all"
    fetched = archives.download_plates(options.screen, plates, base=base, keep=options.keep)
    return f"fetched: {len(fetched)} plates, {len(plates) - len(fetched)} were there: {screen}"


def _reproduce(arguments: Sequence[str]) -> str:
    from cellclr_lib.pipeline.cost import estimate
    from cellclr_lib.pipeline.reproduction import Reproduction, reproduce
    from cellclr_lib.profiles import published_scores

    options, config = _read("reproduce", arguments, Reproduction())
    if options.dry_run:
        cost = estimate(options.screen, config)
        print(cost.to_string(index=False, float_format="{:.2f}".format))
        return f"estimated: {cost['disk_gb'].sum():.1f} GB, {cost['hours'].sum():.1f} hours"
    table = reproduce(
        options.screen, config, options.out, redo=options.redo, say=lambda text: print(text, flush=True)
    )
    shares = [name for name in table if table[name].dtype == float]
    shown = table.assign(**{name: 100 * table[name] for name in shares})
    print(shown.iloc[:, :9].to_string(index=False, float_format="{:.1f}".format))
    print("\npublished, on all annotated wells of the real screen:")
    print(published_scores().to_string(index=False, na_rep=""))
    return f"scored: {options.out / 'scores.csv'}"


def _crop(arguments: Sequence[str]) -> str:
    from cellclr_lib.data import CropConfig, Screen, crop_screen

    options, config = _read("crop", arguments, CropConfig())
    screen = Screen(options.screen)
    if options.plates:
        if unknown := sorted(set(options.plates) - set(screen.fields["plate"])):
            raise ValueError(f"{options.screen} has no plate {', '.join(unknown)}")
        screen = screen.subset(screen.fields["plate"].isin(options.plates))
    store = crop_screen(screen, config, options.store, jobs=options.jobs)
    reasons = store.rejected["reason"].value_counts().to_dict()
    return f"cut: {store}; not kept: {reasons}; fields skipped: {len(store.info['skipped'])}"


def _train(arguments: Sequence[str]) -> str:
    from cellclr_lib.data import CellStore
    from cellclr_lib.learning import TrainConfig, train
    from cellclr_lib.pipeline.callbacks import ReplicateRetrieval

    options, config = _read("train", arguments, TrainConfig())
    store = CellStore.open(options.store)
    try:
        monitor = ReplicateRetrieval(store)
    except ValueError as error:  # images without a plate map can be learned from as well
        log.warning("no scores while training: %s", error)
        monitor = None
    result = train(store, config, on_epoch=monitor)
    print(result.history.to_string(index=False, float_format="{:.4f}".format))
    return f"trained: {result.checkpoint}"


def _embed(arguments: Sequence[str]) -> str:
    options = _read("embed", arguments)
    from cellclr_lib.data import CellStore
    from cellclr_lib.learning import embed
    from cellclr_lib.pipeline.feature_file import save_features

    store = CellStore.open(options.store)
    feats = embed(store, options.checkpoint)
    save_features(feats, store, options.features)
    return f"embedded: {options.features}, {feats.shape[0]} cells × {feats.shape[1]} features"


def _evaluate(arguments: Sequence[str]) -> str:
    options = _read("evaluate", arguments)
    from cellclr_lib.profiles import tabulate_scores

    meta, feats = _features(options)
    table = tabulate_scores(meta, feats, protocol=options.protocol)
    reasons = table.attrs["not_scored"]
    for row in table.itertuples():
        if row.post in reasons:
            print(f"{row.post:>12}  not scored: {reasons[row.post]}")
            continue
        print(
            f"{row.post:>12}"
            f"  NSC {row.nsc_correct:3.0f}/{row.nsc_total:.0f} {row.nsc:6.1%}"
            f" [{row.nsc_low:.1%}, {row.nsc_high:.1%}]"
            f"  NSCB {row.nscb_correct:3.0f}/{row.nscb_total:.0f} {row.nscb:6.1%}"
            f" [{row.nscb_low:.1%}, {row.nscb_high:.1%}]"
            f"  drop {row.drop:6.1%} [{row.drop_low:.1%}, {row.drop_high:.1%}]"
        )
    print(f"{'chance':>12}  NSC {table['nsc_chance'].mean():.1%}  NSCB {table['nscb_chance'].mean():.1%}")
    if options.out:
        table.to_csv(options.out, index=False)
    return f"scored {len(feats)} cells by the {options.protocol} protocol"


def _export(arguments: Sequence[str]) -> str:
    options = _read("export", arguments)
    from cellclr_lib.profiles import aggregate_wells, postprocess, to_anndata, to_parquet

    if options.profiles.suffix not in (".parquet", ".h5ad"):
        raise ValueError(f"profiles are written as .parquet or .h5ad, not {options.profiles.name!r}")
    meta, feats = aggregate_wells(*_features(options))
    feats = postprocess(meta, feats, options.post)
    if options.profiles.suffix == ".h5ad":
        to_anndata(meta, feats).write_h5ad(options.profiles)
    else:
        to_parquet(meta, feats, options.profiles)
    return f"exported: {options.profiles}, {feats.shape[0]} wells × {feats.shape[1]} features"


def _features(options: Evaluate | Export) -> tuple[pd.DataFrame, np.ndarray]:
    """Read the table of the store's cells and their features."""
    from cellclr_lib.data import CellStore
    from cellclr_lib.pipeline.feature_file import load_features

    store = CellStore.open(options.store)
    return store.table, load_features(options.features, store)


# Name -> options and function.
COMMANDS: dict[str, tuple[type, Callable[[Sequence[str]], str]]] = {
    "simulate": (Simulate, _simulate),
    "download": (Download, _download),
    "crop": (Crop, _crop),
    "train": (Train, _train),
    "embed": (Embed, _embed),
    "evaluate": (Evaluate, _evaluate),
    "export": (Export, _export),
    "reproduce": (Reproduce, _reproduce),
}
