"""What each stage gives on a very small screen with fixed seeds: one function per stage, ``{name: value}``.

A value is `exact` (its hash: whole numbers and text only) or `close` (numbers with a tolerance). Names of values
belong to this file, and tables are hashed without their headers: a renamed column changes nothing.

Pixels are not hashed. Exponentials and sines of float64 differ in the last digit between processors, and so a few
pixels in a million are rounded to the next camera count.
"""

import hashlib
import json
import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pandas as pd
import tifffile
import torch

from cellclr_lib.baselines import handcrafted_features, pixel_pca_features, untrained_features
from cellclr_lib.data import (
    CropConfig,
    Screen,
    SimulationConfig,
    crop_screen,
    find_nuclei,
    fit_illumination,
    read_positions,
    simulate,
)
from cellclr_lib.learning import TrainConfig, embed, nt_xent_loss, sup_con_loss, top1_accuracy, train, vicreg_loss
from cellclr_lib.learning.checkpoint import load_checkpoint
from cellclr_lib.pipeline.callbacks import ReplicateRetrieval
from cellclr_lib.profiles import (
    TVN,
    Coral,
    Whitener,
    ZScore,
    aggregate_treatments,
    aggregate_wells,
    bootstrap_interval,
    compound_probe,
    confusion,
    control_retrieval,
    drop,
    drop_interval,
    nsc,
    nscb,
    permutation_null,
    replicate_retrieval,
    tabulate_scores,
    week_accuracy,
)
from cellclr_lib.profiles.postprocessing import POSTS, postprocess
from cellclr_lib.views import ViewConfig, two_views
from cellclr_lib.views.numba_backend import apply_per_image
from cellclr_lib.views.pixels import to_float
from cellclr_lib.views.sampling import draw_view
from cellclr_lib.views.torch_backend import apply_batched

SIMULATION = SimulationConfig(
    weeks=(2, 8), replicates=2, field_px=(224, 224), treated_sites=1, dmso_wells=2, area_per_cell_px2=4000.0
)
CROPPING = CropConfig(crop_px=48, illumination_correction=False)
# Rounding differs between processors and numbers of threads, and every step multiplies the difference. With one to
# four threads losses differ by 9e-4 of their size at a learning rate of 3e-4, and by 4e-6 at 3e-5.
TRAINING = TrainConfig(
    input_px=16,
    projection=32,
    epochs=2,
    batch_size=32,
    cells_per_epoch=96,
    lr=3e-5,
    weight_decay=100.0,  # large, to show at this learning rate
    device="cpu",
    precision="fp32",
)
TRAININGS = {
    "nt_xent": {},
    "sup_con": {"objective": "sup_con", "positives": "well"},
    "vicreg": {"objective": "vicreg"},
    "same well": {"positives": "well"},
    "same treatment": {"positives": "treatment"},
    "chunks": {"chunk_cells": 12},
    "lars": {"optimizer": "lars", "lr": 0.05, "weight_decay": 0.1},
    "controls drawn more often": {"control_weight": 3.0, "temperature": 0.5, "seed": 1},
    "imagenet stem": {"stem": "imagenet", "cells_per_epoch": 64, "warmup_epochs": 0.5},
}
EVERY_CHANGE = ViewConfig(centre_crop_p=0.5, rotation_p=0.5, channel_drop_p=0.5, noise_p=0.5, crop_p=0.7)
SPACE = {"temperature": [0.1, 0.5], "batch_size": [16, 32], "input_px": [16], "precision": ["fp32"], "lr": [1e-4]}
ANNOTATION = "plate well site batch replicate compound concentration_um moa role".split()


def exact(value):
    """Hash of whole numbers and text: an array, a table (without its header) or plain data."""
    if isinstance(value, pd.DataFrame):
        value = value.to_csv(index=False, header=False)
    value = value.tobytes() if isinstance(value, np.ndarray) else json.dumps(value).encode()
    return {"hash": hashlib.sha256(value).hexdigest()[:16]}


def close(values, rtol=1e-5, atol=0.0):
    """Numbers with their tolerance, seven digits of each."""
    values = np.asarray(values, dtype=float)
    return {
        "values": json.loads(json.dumps(values.tolist()), parse_float=lambda text: float(f"{float(text):.7g}")),
        "rtol": rtol,
        "atol": atol,
    }


def count(*values):
    """Whole numbers that shall be read in the recorded file."""
    return {"values": [int(value) for value in values], "rtol": 0.0, "atol": 0.0}


class Inputs:
    """What a stage hands to the next one, made on first use in a folder of its own."""

    def __init__(self, folder):
        self.folder = Path(folder)

    @cached_property
    def screen(self):
        """The simulated screen."""
        return Screen(simulate(SIMULATION, self.folder / "screen", progress=False, jobs=1))

    @cached_property
    def store(self):
        """Its cells."""
        return crop_screen(self.screen, CROPPING, self.folder / "store", jobs=1, progress=False)

    @cached_property
    def trained(self):
        """The training named "nt_xent"."""
        return self.train("nt_xent", on_epoch=ReplicateRetrieval(self.store, cells_per_well=4))

    def train(self, name, on_epoch=None):
        """One of `TRAININGS`."""
        folder = self.folder / "runs" / name
        return train(self.store, replace(TRAINING, folder=str(folder), **TRAININGS[name]), on_epoch=on_epoch)

    @cached_property
    def handcrafted(self):
        """Features by formula."""
        return handcrafted_features(self.store.images, channels=self.store.channels)

    @cached_property
    def wells(self):
        """Their means over wells, ``(meta, feats)``."""
        return aggregate_wells(self.store.table, self.handcrafted)


def synthetic_wells():
    """A plate map of four weeks of two plates, with features of normal random numbers: ``(meta, feats)``."""
    generator = np.random.default_rng(7)
    rows = []
    for week in range(1, 5):
        for plate in (1, 2):
            on_plate = [("DMSO", 0.0, "DMSO", "control")] * 5 + [("taxol", 0.3, "M0", "positive_control")] * 2
            on_plate += [
                (f"c{c}", dose, f"M{c % 3}", "treatment")
                for c in range(12)
                if c % 4 == week - 1 or c == 11
                for dose in (0.3, 1.0)
            ]
            on_plate += [("single", 1.0, "M9", "treatment")] * (week == 2) + [("odd", 1.0, "", "unannotated")]
            rows += [
                (f"Week{week}_{plate}", f"B{i:02d}", f"Week{week}", plate, *w) for i, w in enumerate(on_plate)
            ]
    meta = pd.DataFrame(rows, columns="plate well batch replicate compound concentration_um moa role".split())
    by_moa = {moa: generator.normal(size=6) for moa in sorted(set(meta["moa"]))}
    by_week = {week: 0.5 * generator.normal(size=6) for week in sorted(set(meta["batch"]))}
    feats = np.stack([by_moa[row.moa] + by_week[row.batch] for row in meta.itertuples()])
    return meta, (feats + generator.normal(size=feats.shape)) * [1, 2, 3, 0.5, 0.2, 1] + 0.5


def fields(inputs):
    """The simulated images and the tables beside them."""
    screen = inputs.screen
    images = np.stack([screen.load_field(row) for _, row in screen.fields.iterrows()])
    truth = pd.read_parquet(screen.root / "truth.parquet")
    squares = images.reshape(len(images), 3, 4, 56, 4, 56)
    files = sorted(screen.root.glob("*/*.tif"))
    return {
        "files": exact([[path.parent.name, path.name] for path in files]),
        "image table": exact((screen.root / "BBBC021_v1_image.csv").read_text()),
        "moa table": exact((screen.root / "BBBC021_v1_moa.csv").read_text()),
        "table read": exact(screen.fields[[*ANNOTATION, "file_dna", "file_tubulin", "file_actin"]]),
        "one file": count(*tifffile.imread(files[0]).shape, tifffile.imread(files[0]).dtype.itemsize),
        "mean of each image": close(images.mean((2, 3)), rtol=1e-5),
        "squares of a few images": close(squares[::9].mean((3, 5)), rtol=1e-4),
        "quantiles": close(np.quantile(images, [0.001, 0.1, 0.5, 0.9, 0.999], axis=(0, 2, 3)), rtol=0, atol=16),
        "cells drawn": exact(truth[["plate", "well", "site", "compound", "state", "is_debris", "out_of_focus"]]),
        "where": close(truth[["x_px", "y_px", "strength", "nucleus_radius"]][::7], rtol=1e-6),
    }


def crops(inputs):
    """Cells cut from the fields, their nuclei, and the light of a plate."""
    screen, store = inputs.screen, inputs.store
    plate = screen.fields["plate"] == screen.fields["plate"].iloc[0]
    field = screen.load_field(screen.fields.iloc[0])
    light = fit_illumination(screen.load_field(row) for _, row in screen.fields[plate].iterrows())
    raw = crop_screen(
        screen.subset(plate),
        replace(CROPPING, dtype="uint16", illumination_correction=True),
        inputs.folder / "raw",
        jobs=1,
        progress=False,
    )
    return {
        "cells and rejected objects": count(len(store), len(store.rejected)),
        "annotation": exact(store.table[ANNOTATION]),
        "reasons": exact(store.rejected[["plate", "well", "site", "reason"]]),
        "centres, column and row": close(store.table[["x_px", "y_px"]], rtol=0, atol=1e-3),
        "area of nuclei": close(store.table["nucleus_area_px"], rtol=0, atol=0.5),
        "scaling": close([store.info["scaling"][p] for p in sorted(store.info["scaling"])], rtol=0, atol=16),
        "mean of each crop": close(store.images.mean((2, 3)), rtol=1e-4, atol=1e-3),
        "pixels of a few crops": close(store.images[::50, :, ::8, ::8], rtol=0, atol=1),
        "nuclei of a field, row and column": close(find_nuclei(field[0]), rtol=0, atol=1e-3),
        "light": close(light.light((224, 224))[:, ::56, ::56], rtol=1e-3),
        "dark": close(light.dark, rtol=1e-3),
        "even light, raw values": close(raw.images[::8].mean((2, 3)), rtol=1e-3),
        "published positions": _published_positions(inputs, field),
    }


def _published_positions(inputs, field):
    """The centres of one field, written as the supplement of Ljosa et al. 2013 and read again."""
    objects, images = inputs.folder / "object.txt", inputs.folder / "image.txt"
    row, column = find_nuclei(field[0]).round(2).T
    names = {"x": "Nuclei_Location_Center_X", "y": "Nuclei_Location_Center_Y"}
    numbers = {"TableNumber": 1, "ImageNumber": 5}
    pd.DataFrame({names["x"]: column, names["y"]: row}).assign(**numbers).to_csv(objects, sep="\t", index=False)
    one = inputs.screen.fields.iloc[[0]]
    pd.DataFrame({"Image_FileName_DAPI": one["file_dna"]}).assign(**numbers).to_csv(images, sep="\t", index=False)
    (centres,) = read_positions(objects, images, one)
    return close(centres[:, ::-1], rtol=0, atol=0.02)  # recorded as column and row


def views(inputs):
    """Two views of a few cells, by both implementations."""
    images = torch.from_numpy(inputs.store.images[:40:8].copy())
    out = {}
    configs = {
        "default": ViewConfig(),
        "paper": ViewConfig.paper(),
        "all": EVERY_CHANGE,
        "none": ViewConfig.none(),
    }
    for name, config in (configs | {"shrunk": EVERY_CHANGE.at_scale(0.5)}).items():
        generator = torch.Generator().manual_seed(3)
        draw = draw_view(config, images.shape, generator)
        for backend, view in {
            "numba": apply_per_image(images, draw, config),
            "torch": apply_batched(to_float(images), draw, config),
        }.items():
            out[f"{name}, {backend}"] = close(view[:, :, 4::12, 4::12], rtol=0, atol=2e-4)
        out[f"{name}, random numbers used"] = exact(generator.get_state().numpy())
        many = [t for t in vars(draw_view(config, (500, 3, 16, 16), generator)).values() if t is not None]
        out[f"{name}, mean and deviation of draws"] = close([[t.mean(), t.std()] for t in many], 1e-4, 1e-5)
    generator = torch.Generator().manual_seed(4)
    pair = two_views(images, ViewConfig(), generator, images.flip(0))
    out["two views"] = close([view[:, :, 4::12, 4::12].numpy() for view in pair], rtol=0, atol=2e-4)
    return out


def losses(inputs):
    """Every loss of given projections, with its gradient."""
    generator = np.random.default_rng(5)
    first = generator.normal(size=(24, 8)).astype(np.float32)
    second = first + 0.5 * generator.normal(size=(24, 8)).astype(np.float32)
    groups = torch.arange(24) // 3
    out = {}
    for name, (loss, alike) in {
        "nt_xent 0.1": (lambda a, b: nt_xent_loss(a, b, 0.1), None),
        "nt_xent 0.5": (lambda a, b: nt_xent_loss(a, b, 0.5), None),
        "sup_con 0.1": (lambda a, b: sup_con_loss(a, b, groups, 0.1), groups),
        "sup_con 0.5": (lambda a, b: sup_con_loss(a, b, groups, 0.5), groups),
        "vicreg": (vicreg_loss, None),
    }.items():
        pair = [torch.tensor(z, requires_grad=True) for z in (first, second)]
        value, top1 = loss(*pair), top1_accuracy(*pair, alike)
        value.backward()
        out[f"{name}: loss, top-1"] = close([value.item(), top1.item()], rtol=1e-5)
        out[f"{name}: gradient"] = close([z.grad.norm(dim=1).numpy() for z in pair], rtol=1e-4)
    return out


def training(inputs):
    """History and weights of a short training of each kind."""
    out = {}
    for name in TRAININGS:
        result = inputs.trained if name == "nt_xent" else inputs.train(name)
        history, saved = result.history, load_checkpoint(result.checkpoint)
        weights = [
            t.double() for part in ("encoder", "head") for t in saved[part].values() if t.is_floating_point()
        ]
        out |= {
            f"{name}: loss": close(history["loss"], rtol=1e-3),
            f"{name}: top-1": close(history["top1"], rtol=0, atol=0.015),
            f"{name}: learning rate": close(history["lr"], rtol=1e-6, atol=1e-12),
            f"{name}: epoch, cells seen": count(*history["epoch"], *history["cells_seen"]),
            f"{name}: norm of each tensor": close([t.norm() for t in weights], rtol=1e-3, atol=2e-4),
            f"{name}: random numbers used": exact(
                [saved[which].tolist() for which in ("order_generator", "view_generator")]
            ),
        }
    watched = inputs.trained.history[["retrieval", "week_accuracy"]]
    return out | {"retrieval, week accuracy by epoch": close(watched, rtol=0, atol=0.05)}


def features(inputs):
    """Features of every cell by every method."""
    images = inputs.store.images
    out = {}
    for name, (feats, rtol) in {
        "handcrafted": (inputs.handcrafted, 1e-3),
        "pixel_pca": (np.abs(pixel_pca_features(images, n_components=8)), 1e-3),  # signs mean nothing
        "untrained": (untrained_features(images, input_px=16, precision="fp32", device="cpu"), 1e-3),
        "simclr": (embed(inputs.store, inputs.trained.checkpoint, precision="fp32", device="cpu"), 1e-2),
    }.items():
        feats = feats.astype(float)
        columns = slice(None, None, 8 if feats.shape[1] > 200 else 1)
        spread = feats.std(axis=0).mean()
        out |= {
            f"{name}: shape": count(*feats.shape),
            f"{name}: mean of columns": close(feats.mean(axis=0)[columns], rtol, atol=rtol * spread),
            f"{name}: deviation of columns": close(feats.std(axis=0)[columns], rtol, atol=rtol * spread),
            f"{name}: a few cells": close(feats[::100, columns], rtol, atol=rtol * spread),
        }
    return out


def profiles(inputs):
    """Wells and treatments, and wells after every post-processing."""
    meta, feats = inputs.wells
    table, medians = aggregate_treatments(meta, feats)
    out = {
        "wells": exact(meta),
        "treatments": exact(table),
        "features of wells": close(feats[::12, ::8], rtol=1e-3, atol=1e-4),
        "features of treatments": close(medians[::4, ::8], rtol=1e-3, atol=1e-4),
    }
    steps = {
        f"z-score, {rows}, by {by}": ZScore(rows, by)
        for rows in ("controls", "all")
        for by in (None, "plate", "batch")
    }
    steps |= {
        "whitening": Whitener(),
        "whitening, λ 0.1": Whitener(0.1),
        "whitening, λ 0": Whitener(0.0),
        "whitening, both controls": Whitener(controls="both"),
        "coral": Coral(),
        "coral, λ 0.1": Coral(0.1),
        "coral, centred": Coral(center=True),
        "tvn": TVN(),
        "tvn, λ 0.1": TVN(0.1),
        "tvn, centred": TVN(center=True),
    }
    synthetic_meta, synthetic = synthetic_wells()
    out["synthetic treatments"] = close(
        aggregate_treatments(synthetic_meta, synthetic)[1], rtol=1e-6
    )  # up to eight wells each
    scaled = postprocess(meta, feats, "z_score")
    for name, step in steps.items():
        after = step.fit(synthetic_meta, synthetic).transform(synthetic_meta, synthetic)
        out[f"{name}: synthetic"] = close(after[::10], rtol=1e-5, atol=1e-6)
        if name != "whitening, λ 0" and "plate" not in name:  # needs more wells than features; two rows a plate
            out[f"{name}: handcrafted"] = close(
                _shape_of(step.fit(meta, scaled).transform(meta, scaled)), 1e-3, 1e-3
            )
    for name, post in zip(("none", "z-score", "whitening", "tvn"), POSTS, strict=True):
        out[f"named {name}"] = close(_shape_of(postprocess(meta, feats, post)), rtol=1e-3, atol=1e-3)
    return out


def _shape_of(feats):
    """Lengths and cosines of some rows, which no rotation changes: with few wells, whitening leaves one open."""
    feats = np.asarray(feats, dtype=float)[::6]
    length = np.linalg.norm(feats, axis=1, keepdims=True)
    return np.concatenate([length.T, (feats / length) @ (feats / length).T])


def scores(inputs):
    """Every score, of synthetic wells and of the screen's."""
    meta, feats = inputs.wells
    out = _scores("synthetic", *synthetic_wells())
    return out | _scores("handcrafted", meta, postprocess(meta, feats, "z_score"))


def _scores(source, meta, feats):
    table, medians = aggregate_treatments(meta, feats)
    found = {
        f"{metric.__name__}, {protocol}": metric(table, medians, protocol=protocol)
        for metric in (nsc, nscb)
        for protocol in ("strict", "published")
    }
    found |= {
        "replicate retrieval": replicate_retrieval(meta, feats),
        "week accuracy": week_accuracy(meta, feats),
        "control retrieval": control_retrieval(meta, feats),
    }
    out = {}
    for name, score in found.items():
        pairs = score.neighbours
        out[f"{source}, {name}: correct, total, left out"] = count(
            score.correct, score.total, *score.left_out.values()
        )
        out[f"{source}, {name}: neighbours"] = exact(
            pairs[["compound", "concentration_um", "neighbour_compound", "neighbour_concentration_um", "correct"]]
        )
        out[f"{source}, {name}: similarity"] = close(pairs["similarity"][::5], rtol=1e-3, atol=1e-3)
        out[f"{source}, {name}: chance"] = close(score.chance, rtol=1e-6)
        out[f"{source}, {name}: interval"] = close(bootstrap_interval(score, draws=500, seed=1), rtol=1e-6)
    strict = found["nsc, strict"], found["nscb, strict"]
    rows = [
        tabulate_scores(meta, feats, protocol=protocol, draws=200, null_draws=20, seed=2)
        for protocol in ("strict", "published")
    ]
    named = [
        *"nsc nsc_low nsc_high nscb nscb_low nscb_high drop drop_low drop_high nsc_chance nscb_chance".split(),
        *"nsc_correct nsc_total nscb_correct nscb_total".split(),
    ]
    return out | {
        f"{source}, confusion": count(*confusion(strict[0]).to_numpy().ravel()),
        f"{source}, drop": close([drop(*strict), *drop_interval(*strict, draws=500, seed=1)], rtol=1e-6),
        f"{source}, null": close(permutation_null(table, medians, nscb, draws=50, seed=1)[:20], rtol=1e-6),
        f"{source}, linear probe": close(compound_probe(table, medians), rtol=1e-6),
        f"{source}, report": close(pd.concat(rows)[named], rtol=1e-6),
    }


def sweep(inputs):
    """The table of a sweep of four trials, each run as Ray would run it."""
    from tuning import trial
    from tuning.plan import Plan, with_budget
    from tuning.results import agreement, ranking, tables

    training = with_budget(TrainConfig(epochs=2, cells_per_epoch=64), inputs.store, SPACE)
    plan = Plan(inputs.store.path, training, SPACE)
    runs = inputs.folder / "sweep" / "runs"
    reported = []
    ray = SimpleNamespace(get_checkpoint=lambda: None, report=lambda row, checkpoint: reported.append(row))
    grid = []
    with mock.patch.object(trial, "tune", ray), mock.patch.dict(os.environ):
        for i, settings in enumerate(plan.trials):
            trial.run(plan, runs / str(i), settings)
            grid.append(SimpleNamespace(metrics={"trial_id": str(i)}, config=settings, error=None))
    results, history = tables(grid, plan, runs)
    return {
        "reports": count(len(reported)),
        "ranking": count(len(ranking(results, plan)), ranking(results, plan)["trials"].sum()),
        "correlations": count(len(agreement(results))),
        **sweep_table(results, history),
    }


def sweep_table(results, history):
    """The two tables of a sweep without its times, sorted by setting."""
    settings = ["temperature", "batch_size"]
    results, history = results.sort_values(settings), history.sort_values([*settings, "epoch"])
    return {
        "number of columns": count(results.shape[1], history.shape[1]),
        "settings": close(results[[*settings, "input_px", "lr", "seed", "epoch", "cells_seen"]], rtol=1e-9),
        "retrieval, week accuracy, nsc, nscb": close(
            results[["retrieval", "week_accuracy", "nsc", "nscb"]], rtol=0, atol=0.05
        ),
        "last loss": close(results["loss"], rtol=2e-3),
        "last top-1": close(results["top1"], rtol=0, atol=0.02),
        "loss by epoch": close(history["loss"], rtol=2e-3),
        "learning rate by epoch": close(history["lr"], rtol=1e-6, atol=1e-12),
    }


STAGES = {
    stage.__name__: stage for stage in (fields, crops, views, losses, training, features, profiles, scores, sweep)
}
