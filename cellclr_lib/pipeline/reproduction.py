"""Make the paper's table by one command: download or simulate, crop, train, embed, score.

Each stage leaves its result in one folder and is passed over once that is there, so a run that was interrupted
is resumed by the same command. Explained in chapter 9, *the real screen*.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from cellclr_lib import atomic
from cellclr_lib.data import CellStore, CropConfig, Screen, SimulationConfig, archives, crop_screen, simulate
from cellclr_lib.data.screen import IMAGE_TABLE, MOA_TABLE
from cellclr_lib.learning import TrainConfig, embed, train
from cellclr_lib.pipeline.callbacks import ReplicateRetrieval
from cellclr_lib.pipeline.feature_file import load_features, save_features
from cellclr_lib.profiles import tabulate_scores
from cellclr_lib.settings import load_yaml, save_yaml

MADE = ("config.yaml", "screen.json", "store", "run", "features.npy", "features.json", "scores.csv")
ROLES = ("control", "positive_control", "treatment", "unannotated")
COLUMNS = ["protocol", "post", "nsc", "nsc_low", "nsc_high", "nscb", "nscb_low", "nscb_high", "drop"]


@dataclass(frozen=True)
class Reproduction:
    """Set everything that decides the way from a screen to its scores. Explained in chapter 9."""

    source: Literal["download", "simulate", "folder"] = "download"  #: how the screen gets to its folder
    plates: Literal["annotated", "all"] = "annotated"  #: which plates to download
    mirror: str | None = None  #: address of a folder with the same files, in place of the publisher's
    roles: tuple[str, ...] = ("control", "positive_control", "treatment")  #: of the wells that are cropped
    simulation: SimulationConfig = field(default_factory=SimulationConfig)  #: if the source is "simulate"
    cropping: CropConfig = field(default_factory=CropConfig)  #: how cells are cut
    training: TrainConfig = field(default_factory=TrainConfig)  #: how the encoder is trained
    protocols: tuple[str, ...] = ("strict", "published")  #: of NSCB

    def __post_init__(self) -> None:
        if unknown := [role for role in self.roles if role not in ROLES]:
            raise ValueError(f"roles holds {unknown[0]!r}; expected some of {', '.join(ROLES)}")


def reproduce(
    screen: str | Path,
    config: Reproduction,
    out: str | Path,
    *,
    redo: bool = False,
    say: Callable[[str], object] = print,
) -> pd.DataFrame:
    """Run all stages, or those that are left.

    Parameters
    ----------
    screen : path-like
        Folder of the screen, in BBBC021's layout; downloads and simulations go there.
    config : Reproduction
    out : path-like
        Folder of everything that is made: ``config.yaml screen.json store/ run/ features.npy scores.csv``.
    redo : bool
        Remove what `out` holds of an earlier run first.
    say : callable
        Called with a line of text before each stage.

    Returns
    -------
    pandas.DataFrame
        `tabulate_scores` under every protocol, one row per protocol and post-processing; also in ``scores.csv``.

    Raises
    ------
    ValueError
        If `out` was begun with another configuration or from other tables, or as the stages do.
    """
    root, out = Path(screen), Path(out)
    if redo:
        for name in MADE:
            remove = shutil.rmtree if (out / name).is_dir() else Path.unlink
            if (out / name).exists():
                remove(out / name)
    _claim(config, out)
    say(f"screen: {root}")
    images = _screen(config, root)
    _claim_screen(images, out)
    say(f"crops: {out / 'store'}, from {len(images.fields):,} fields on {images.fields['plate'].nunique()} plates")
    store = _store(config, images, out / "store")
    epoch = min(config.training.cells_per_epoch or len(store), len(store))
    say(f"training: {out / 'run'}, {config.training.epochs} epochs of {epoch:,} cells")
    training = replace(config.training, folder=str(out / "run"))
    trained = train(store, training, on_epoch=ReplicateRetrieval(store))
    say(f"features: {out / 'features.npy'}")
    feats = _features(trained.checkpoint, store, training.device, out / "features.npy")
    say(f"scores: {out / 'scores.csv'}")
    tables = [
        tabulate_scores(store.table, feats, protocol=protocol).assign(protocol=protocol)
        for protocol in config.protocols
    ]
    table = pd.concat(tables, ignore_index=True)
    table = table[[*COLUMNS, *(name for name in table if name not in COLUMNS)]]
    atomic.write_text(out / "scores.csv", table.to_csv(index=False))
    return table


def _claim(config: Reproduction, out: Path) -> None:
    file = out / "config.yaml"
    if file.exists() and load_yaml(Reproduction, file) != config:
        raise ValueError(f"{out} was begun with other settings ({file}); take another --out, or the same settings")
    save_yaml(config, file)


def _claim_screen(screen: Screen, out: Path) -> None:
    """Record the tables of the screen in `out`, or refuse results that were made from others."""
    now = {
        name: hashlib.sha256((screen.root / name).read_bytes()).hexdigest() for name in (IMAGE_TABLE, MOA_TABLE)
    }
    file = out / "screen.json"
    if file.exists():
        before = json.loads(file.read_text())
        if changed := [name for name in now if before.get(name) != now[name]]:
            raise ValueError(
                f"{out} was made from another {changed[0]} ({file}); take another --out, or --redo to begin anew"
            )
    atomic.write_text(file, json.dumps(now, indent=1) + "\n")


def _screen(config: Reproduction, root: Path) -> Screen:
    if config.source == "simulate":
        simulate(config.simulation, root)
    elif config.source == "download":
        base = config.mirror or archives.BBBC021
        tables = archives.download_tables(root, base=base)
        everything = list(tables.fields["plate"].unique())
        plates = everything if config.plates == "all" else archives.annotated_plates(tables)
        archives.download_plates(root, plates, base=base)
    screen = Screen(root)
    there = [plate for plate in screen.fields["plate"].unique() if _has_images(screen, plate)]
    return screen.subset(screen.fields["role"].isin(config.roles) & screen.fields["plate"].isin(there))


def _has_images(screen: Screen, plate: str) -> bool:
    """Test whether any image of a plate is there, wherever the image table says."""
    rows = screen.fields[screen.fields["plate"] == plate]
    return any(screen.image_path(field, screen.channels[0]).exists() for _, field in rows.iterrows())


def _store(config: Reproduction, screen: Screen, folder: Path) -> CellStore:
    if not (folder / "store.json").exists():
        crop_screen(screen, config.cropping, folder)
    return CellStore.open(folder)


def _features(checkpoint: Path, store: CellStore, device: str, file: Path) -> np.ndarray:
    if not (file.exists() and file.with_suffix(".json").exists()):  # a kill may have come between the two
        save_features(embed(store, checkpoint, device=device), store, file)
    return load_features(file, store)
