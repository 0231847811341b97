"""Read the real sample of crops and scale it as the simulated crops are scaled."""

import numpy as np
import pandas as pd

from cellclr_lib.data.simulation import SimulationConfig, plate_map

CROP_PX = 68  # side of the real crops
LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.9  # of a plate's crops, become 0 and 255


def read_real_crops(folder, positive_controls=False):
    """Real crops and their table, in the columns of the library; taxol control wells only if asked for."""
    images = np.load(folder / "crops.npz")["images"]
    table = pd.read_csv(folder / "crops.csv")
    table = table.rename(columns={"concentration": "concentration_um", "week": "batch"})
    wells = plate_map.wells(SimulationConfig(taxol_wells=6)).set_index(["plate", "well"])
    keys = pd.MultiIndex.from_frame(table[["plate", "well"]])
    table["role"] = wells["role"].reindex(keys).to_numpy()
    scored = table["role"].isin(["control", "treatment"]).to_numpy() | positive_controls
    columns = ["plate", "well", "batch", "compound", "concentration_um", "moa", "role"]
    return images[scored], table.loc[scored, columns].reset_index(drop=True)


def scaled(images, plates):
    """Crops as uint8, each channel between two percentiles of its plate's crops."""
    out = np.empty(images.shape, np.uint8)
    for plate in plates.unique():
        rows = (plates == plate).to_numpy()
        low, high = np.percentile(images[rows], (LOW_PERCENTILE, HIGH_PERCENTILE), axis=(0, 2, 3))[..., None, None]
        out[rows] = np.clip(np.rint((images[rows] - low) * (255 / np.maximum(high - low, 1))), 0, 255)
    return out
