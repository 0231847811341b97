"""Measure fields to crops on disk: `crop_screen` (nuclei, scaling, cutting, writing) with two processes.

The fields are two genuine ones of BBBC021 where the real samples are at hand (`CELLCLR_DATA` or `../shared/real`),
else two simulated ones of the same size, 3 × 1024 × 1280 px; the case says which. A screen's table refers to them
in turn, so each run reads, outlines, cuts and writes all of its fields. The second case is finding nuclei alone,
in one process, against scikit-image's textbook recipe (Otsu, distance transform, watershed); `f1` is that of the
nuclei found in all 138 hand-annotated images of the 2018 Data Science Bowl, where they are at hand.
"""

import os
import shutil
import tempfile
import zipfile
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.io import imread
from skimage.measure import label, regionprops
from skimage.segmentation import watershed

from cellclr_lib.data import CropConfig, Screen, SimulationConfig, crop_screen, segment_nuclei
from cellclr_lib.data.screen import IMAGE_TABLE, MOA_TABLE
from cellclr_lib.data.simulation import plate_map, simulate_field
from speed.measure import CORES, RUNS, take_turns

FIELDS = 24  # of one run, all of one plate
PLATE = "Week2_24381"  # of the real sample


def measure(results, fields=FIELDS, field_px=(1024, 1280), real=None, runs=RUNS):
    """Fields per second."""
    real = real_samples() if real is None else real
    with tempfile.TemporaryDirectory() as folder:
        folder, number = Path(folder), count()
        make = real_screen if (real / "bbbc021").is_dir() else simulated_screen
        screen = make(folder / "screen", real, fields, field_px)
        kind = "real" if make is real_screen else "simulated"

        def crop():
            store = folder / f"store{next(number)}"
            crop_screen(screen, CropConfig(), store, jobs=CORES, progress=False)
            shutil.rmtree(store)

        results.add(f"{fields} {kind} fields to a store", take_turns({"cellclr": crop}, runs), fields, "fields")
        dna = [screen.load_field(screen.fields.iloc[i])[0] for i in range(2)]
        finders = {"cellclr": segment_nuclei, "scikit-image": textbook_nuclei}
        seconds = take_turns(
            {name: lambda f=find: [f(image) for image in dna] for name, find in finders.items()}, runs
        )
        scores = {name: f1(find, real / "nuclei_dsb2018") for name, find in finders.items()}
        results.add(f"nuclei of {kind} fields, one process", seconds, len(dna), "fields", f1=scores)


def real_samples():
    """Folder of the real samples; it need not exist."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "real"
    return Path(os.environ.get("CELLCLR_DATA", beside))


def real_screen(root, real, fields, field_px):
    """Make a screen whose fields are genuine, two in turn."""
    root.mkdir()
    table = pd.read_csv(real / "bbbc021" / IMAGE_TABLE)
    shutil.copy(real / "bbbc021" / MOA_TABLE, root)
    with zipfile.ZipFile(real / "bbbc021" / f"BBBC021_v1_images_{PLATE}.zip") as archive:
        archive.extractall(root)
    table = table[table["Image_Metadata_Plate_DAPI"] == PLATE]
    stains = [f"Image_FileName_{stain}" for stain, _ in plate_map.STAINS]
    complete = table[stains].map(lambda name: (root / PLATE / name).exists()).all(axis=1)
    return _repeated(root, table, table.loc[complete, stains], fields)


def simulated_screen(root, real, fields, field_px):
    """Make a screen whose fields are simulated, two in turn."""
    config = SimulationConfig.full_size(field_px=field_px)
    plan = plate_map.fields(config)
    plan = plan[plan["plate"] == plan["plate"].iloc[0]]
    (root / plan["plate"].iloc[0]).mkdir(parents=True)
    for _, field in plan.head(2).iterrows():
        for (stain, _), image in zip(plate_map.STAINS, simulate_field(config, field)[0], strict=True):
            tifffile.imwrite(root / field["plate"] / field[stain], image)
    table = plate_map.image_table(plan)
    plate_map.moa_table(plan).to_csv(root / MOA_TABLE, index=False)
    stains = [f"Image_FileName_{stain}" for stain, _ in plate_map.STAINS]
    return _repeated(root, table, table[stains].head(2), fields)


def _repeated(root, table, files, fields):
    table = table.head(fields).copy()
    table[files.columns] = files.to_numpy()[np.arange(len(table)) % len(files)]
    table.to_csv(root / IMAGE_TABLE, index=False)
    return Screen(root)


def textbook_nuclei(dna):
    """Label image of the nuclei by scikit-image's example of the watershed, with a little smoothing first."""
    smooth = gaussian(dna, 1)
    foreground = smooth > threshold_otsu(smooth)
    distance = ndimage.distance_transform_edt(foreground)
    peaks = peak_local_max(distance, min_distance=7, labels=label(foreground))
    markers = np.zeros(dna.shape, int)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-distance, markers, mask=foreground)


def f1(find, folder):
    """F1 of nuclei found in hand-annotated images, by centres within a nuclear radius; None without the images."""
    hits = found_in_all = true_in_all = 0
    for path in sorted((folder / "images").glob("*.png")):
        nuclei = regionprops(imread(folder / "labels" / path.name))
        truth = np.array([nucleus.centroid for nucleus in nuclei])
        found = np.array([nucleus.centroid for nucleus in regionprops(find(imread(path)))]).reshape(-1, 2)
        limit = np.median([nucleus.equivalent_diameter_area for nucleus in nuclei]) / 2
        distance = cdist(found, truth)
        pairs = linear_sum_assignment(np.where(distance <= limit, distance, 1e6))
        hits += (distance[pairs] <= limit).sum()
        found_in_all, true_in_all = found_in_all + len(found), true_in_all + len(truth)
    return 2 * hits / (found_in_all + true_in_all) if true_in_all else None
