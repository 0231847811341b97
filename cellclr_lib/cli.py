"""Run the stages from a screen to a score, one command per stage; each calls one library function.

Settings come from a YAML file (``--config``), single ones from ``--set name=value``; both name the fields of the
stage's dataclass. Exit status: 0 done, 1 something is wrong with the input (said in one line), 2 wrong usage,
130 interrupted.
"""

import argparse
import dataclasses
import logging
import sys
import time
from pathlib import Path

import yaml

from cellclr_lib.settings import from_dict, load_yaml, to_dict


def main(arguments=None):
    """Run one command.

    Parameters
    ----------
    arguments : list of str, optional
        As on the command line, without the program's name.

    Returns
    -------
    int
        Exit status.
    """
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    start = time.time()
    try:
        made = options.run(options)
    except (ImportError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    print(f"{made} ({(time.time() - start) / 60:.1f} min)")
    return 0


def parser():
    """The argument parser of all commands."""
    top = argparse.ArgumentParser(prog="python -m cellclr_lib", description=__doc__.split("\n")[0])
    commands = top.add_subparsers(title="commands", required=True, metavar="command")

    command = _command(commands, "simulate", _simulate, "write a simulated screen in BBBC021's layout")
    command.add_argument("screen", type=Path, help="folder to write")
    command.add_argument("--size", choices=["default", "smoke", "full_size"], default="default", help="how large")
    command.add_argument("--jobs", type=int, help="worker processes (default: one per processor)")
    _settings(command, "SimulationConfig")

    command = _command(commands, "download", _download, "fetch the real screen: its tables, then plates")
    command.add_argument("screen", type=Path, help="folder to write")
    which = command.add_mutually_exclusive_group()
    which.add_argument("--plates", nargs="+", help="these plates (default: none, only the tables)")
    which.add_argument("--moa-only", action="store_true", help="all plates with annotated wells")
    which.add_argument("--all", action="store_true", help="all 55 plates")
    command.add_argument("--mirror", help="address of a folder with the same files (default: the publisher's)")
    command.add_argument("--keep", action="store_true", help="keep the archives after unpacking")

    command = _command(commands, "crop", _crop, "cut the cells of a screen into a store")
    command.add_argument("screen", type=Path, help="folder of a screen in BBBC021's layout")
    command.add_argument("store", type=Path, help="folder to write")
    command.add_argument("--plates", nargs="+", help="only these plates")
    command.add_argument("--jobs", type=int, help="worker processes (default: one per processor)")
    _settings(command, "CropConfig")

    command = _command(commands, "train", _train, "train an encoder on a store with SimCLR")
    command.add_argument("store", type=Path, help="folder of a store")
    command.add_argument("--folder", help="where the run lies (default: inside the store)")
    command.add_argument("--device", choices=["auto", "cpu", "cuda"], help="default: what the configuration says")
    _settings(command, "TrainConfig")

    command = _command(commands, "embed", _embed, "turn every cell of a store into features")
    command.add_argument("checkpoint", type=Path, help="checkpoint file of a training")
    command.add_argument("store", type=Path, help="folder of a store")
    command.add_argument("features", type=Path, help="file to write (.npy), (cells, D) float32")

    command = _command(commands, "evaluate", _evaluate, "score features: NSC, NSCB and drop")
    command.add_argument("store", type=Path, help="folder of the store that the features were made from")
    command.add_argument("features", type=Path, help="features (.npy), one row per cell of the store")
    command.add_argument("--protocol", choices=["strict", "published"], default="strict", help="default: strict")
    command.add_argument("--out", type=Path, help="also write the table as CSV")

    command = _command(commands, "export", _export, "write well profiles for pycytominer, copairs or scanpy")
    command.add_argument("store", type=Path, help="folder of the store that the features were made from")
    command.add_argument("features", type=Path, help="features (.npy), one row per cell of the store")
    command.add_argument(
        "profiles", type=Path, help="file to write: .parquet (Metadata_* columns) or .h5ad (AnnData)"
    )
    command.add_argument("--post", default="none", help="none (default), z_score, whitening or tvn")

    command = _command(commands, "reproduce", _reproduce, "go the whole way: screen, crops, training, scores")
    command.add_argument("--config", type=Path, help="YAML file with fields of Reproduction")
    command.add_argument("--screen", type=Path, default=Path("BBBC021"), help="its folder (default: BBBC021)")
    command.add_argument("--out", type=Path, default=Path("reproduction"), help="default: reproduction")
    command.add_argument("--dry-run", action="store_true", help="only say what it would cost")
    return top


def _command(commands, name, run, text):
    command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
    command.set_defaults(run=run)
    return command


def _settings(command, config_name):
    command.add_argument("--config", type=Path, help=f"YAML file with fields of {config_name}")
    command.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one field, value as in YAML; repeatable"
    )


def _configured(base, options):
    """`base` with the settings of the file, then those of the command line."""
    values = to_dict(base)
    source = "--set"
    if options.config:
        if not options.config.is_file():
            raise FileNotFoundError(f"no configuration file {options.config}")
        source = options.config
        try:
            loaded = yaml.safe_load(options.config.read_text()) or {}
        except yaml.YAMLError as error:
            raise ValueError(f"{options.config} is not valid YAML: {error}") from error
        if not isinstance(loaded, dict):
            raise ValueError(f"{options.config} must hold `name: value` pairs")
        values |= loaded
    for setting in options.set:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"--set takes NAME=VALUE, not {setting!r}")
        values[name] = yaml.safe_load(value)
    return from_dict(type(base), values, source)


def _simulate(options):
    from cellclr_lib.data import Screen, SimulationConfig, simulate

    base = SimulationConfig() if options.size == "default" else getattr(SimulationConfig, options.size)()
    return f"simulated: {Screen(simulate(_configured(base, options), options.screen, jobs=options.jobs))}"


def _download(options):
    from cellclr_lib.data import archives

    base = options.mirror or archives.BBBC021
    screen = archives.download_tables(options.screen, base)
    known = list(screen.fields["plate"].unique())
    plates = known if options.all else archives.annotated_plates(screen) if options.moa_only else options.plates
    if unknown := sorted(set(plates or []) - set(known)):
        raise ValueError(f"BBBC021 has no plate {', '.join(unknown)}; there are {', '.join(known)}")
    if not plates:
        return f"fetched: the tables of {screen}; plates come with --plates, --moa-only or --all"
    fetched = archives.download_plates(options.screen, plates, base, options.keep)
    return f"fetched: {len(fetched)} plates, {len(plates) - len(fetched)} were there: {screen}"


def _reproduce(options):
    from cellclr_lib.pipeline.cost import estimate
    from cellclr_lib.pipeline.reproduction import Reproduction, reproduce
    from cellclr_lib.profiles import published_scores

    config = load_yaml(Reproduction, options.config) if options.config else Reproduction()
    if options.dry_run:
        cost = estimate(config, options.screen)
        print(cost.to_string(index=False, float_format="{:.2f}".format))
        return f"estimated: {cost['disk_gb'].sum():.1f} GB, {cost['hours'].sum():.1f} hours"
    table = reproduce(options.screen, config, options.out, say=lambda text: print(text, flush=True))
    shares = [name for name in table if table[name].dtype == float]
    shown = table.assign(**{name: 100 * table[name] for name in shares})
    print(shown.iloc[:, :9].to_string(index=False, float_format="{:.1f}".format))
    print("\npublished, on all annotated wells of the real screen:")
    print(published_scores().to_string(index=False, na_rep=""))
    return f"scored: {options.out / 'scores.csv'}"


def _crop(options):
    from cellclr_lib.data import CropConfig, Screen, crop_screen

    screen = Screen(options.screen)
    if options.plates:
        if unknown := sorted(set(options.plates) - set(screen.fields["plate"])):
            raise ValueError(f"{options.screen} has no plate {', '.join(unknown)}")
        screen = screen.subset(screen.fields["plate"].isin(options.plates))
    store = crop_screen(screen, _configured(CropConfig(), options), options.store, jobs=options.jobs)
    reasons = store.rejected["reason"].value_counts().to_dict()
    return f"cut: {store}; not kept: {reasons}; fields skipped: {len(store.info['skipped'])}"


def _train(options):
    from cellclr_lib.data import CellStore
    from cellclr_lib.learning import TrainConfig, train
    from cellclr_lib.pipeline.callbacks import ReplicateRetrieval

    config = _configured(TrainConfig(), options)
    changes = {name: getattr(options, name) for name in ("folder", "device") if getattr(options, name)}
    store = CellStore.open(options.store)
    result = train(store, dataclasses.replace(config, **changes), on_epoch=ReplicateRetrieval(store))
    print(result.history.to_string(index=False, float_format="{:.4f}".format))
    return f"trained: {result.checkpoint}"


def _embed(options):
    import numpy as np

    from cellclr_lib.data import CellStore
    from cellclr_lib.learning import embed

    feats = embed(CellStore.open(options.store), options.checkpoint)
    np.save(options.features, feats)
    return f"embedded: {options.features}, {feats.shape[0]} cells × {feats.shape[1]} features"


def _evaluate(options):
    from cellclr_lib.profiles import tabulate_scores

    meta, feats = _features(options)
    table = tabulate_scores(meta, feats, protocol=options.protocol)
    for row in table.itertuples():
        print(
            f"{row.post:>12}"
            f"  NSC {row.nsc_correct:3d}/{row.nsc_total} {row.nsc:6.1%} [{row.nsc_low:.1%}, {row.nsc_high:.1%}]"
            f"  NSCB {row.nscb_correct:3d}/{row.nscb_total} {row.nscb:6.1%}"
            f" [{row.nscb_low:.1%}, {row.nscb_high:.1%}]"
            f"  drop {row.drop:6.1%} [{row.drop_low:.1%}, {row.drop_high:.1%}]"
        )
    print(f"{'chance':>12}  NSC {table['nsc_chance'].mean():.1%}  NSCB {table['nscb_chance'].mean():.1%}")
    if options.out:
        table.to_csv(options.out, index=False)
    return f"scored {len(feats)} cells by the {options.protocol} protocol"


def _export(options):
    from cellclr_lib.profiles import aggregate_wells, to_anndata, to_parquet
    from cellclr_lib.profiles.postprocessing import postprocess

    if options.profiles.suffix not in (".parquet", ".h5ad"):
        raise ValueError(f"profiles are written as .parquet or .h5ad, not {options.profiles.name!r}")
    meta, feats = aggregate_wells(*_features(options))
    feats = postprocess(meta, feats, options.post)
    if options.profiles.suffix == ".h5ad":
        to_anndata(meta, feats).write_h5ad(options.profiles)
    else:
        to_parquet(options.profiles, meta, feats)
    return f"exported: {options.profiles}, {feats.shape[0]} wells × {feats.shape[1]} features"


def _features(options):
    """The table of the store's cells and their features."""
    import numpy as np

    from cellclr_lib.data import CellStore

    store = CellStore.open(options.store)
    feats = np.load(options.features)
    if len(feats) != len(store):
        raise ValueError(
            f"{options.features} holds {len(feats)} cells, {options.store} {len(store)}; embed it again"
        )
    return store.table, feats
