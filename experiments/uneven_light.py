"""Measure how exactly the light of a plate is recovered: ``python -m experiments.uneven_light``.

Plates of the simulated screen at the real size, on which the light is known. The constants of
`fit_illumination` were chosen on the first two of them. The light is fitted to all fields of a plate and to
random parts, beside it the mean of the fields less their darkest value, smoothed by the same polynomial, and
both are compared with the truth. About ten minutes on two cores; nothing is kept but the table.
"""

import argparse
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from cellclr_lib.data import Illumination, SimulationConfig, fit_illumination
from cellclr_lib.data.simulation import optics, plate_map, simulate_field
from cellclr_lib.pipeline import provenance

RESULTS = Path(__file__).with_name("results") / "uneven_light.csv"
PLATES = ("Week1_22123", "Week4_27861", "Week7_34381", "Week9_39221")
PARTS = (30, 60)  # fields
DRAWS = 4  # of each part


def main(arguments=None):
    """Write the table and its provenance."""
    parser = argparse.ArgumentParser(prog="python -m experiments.uneven_light", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS, help="CSV to write")
    options = parser.parse_args(arguments)
    table = pd.concat([measure(plate) for plate in PLATES], ignore_index=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out, index=False, float_format="%.4f")
    provenance.write(
        options.out.with_suffix(".json"),
        command="python -m experiments.uneven_light",
        data="simulated fields of the real size, four to a well; the largest relative error in a field",
        parts=PARTS,
        draws=DRAWS,
    )
    print(table.to_string(index=False, float_format="{:.3f}".format))


def measure(plate, parts=PARTS, draws=DRAWS):
    """Errors of one plate.

    Returns
    -------
    pandas.DataFrame
        One row per channel and number of fields: ``plate fields channel darkest error error_mean``. `darkest`
        is the smallest true light, the mean being 1; `error` the largest relative error in a field, the worst of
        `draws`; `error_mean` the same of the smoothed mean.
    """
    fields, true = plate_fields(plate)
    generator = np.random.default_rng(0)
    samples = {count: [generator.permutation(len(fields))[:count] for _ in range(draws)] for count in parts}
    samples[len(fields)] = [np.arange(len(fields))]
    rows = []
    for count, draw in samples.items():
        errors = np.max([largest_error(fit_illumination(fields[i] for i in some), true) for some in draw], axis=0)
        naive = np.max([largest_error(smoothed_mean([fields[i] for i in some]), true) for some in draw], axis=0)
        rows += [
            (plate, count, channel, true.min(), errors[c], naive[c])
            for c, channel in enumerate(("dna", "tubulin", "actin"))
        ]
    return pd.DataFrame(rows, columns=["plate", "fields", "channel", "darkest", "error", "error_mean"])


def plate_fields(plate):
    """Simulate every field of a plate, and its true light (H, W) with mean 1."""
    config = SimulationConfig.full_size(weeks=(int(plate.removeprefix("Week").split("_")[0]),))
    table = plate_map.fields(config)
    table = table[table["plate"] == plate]
    draw = joblib.Parallel(n_jobs=2)(joblib.delayed(simulate_field)(config, row) for _, row in table.iterrows())
    lamp = optics.optics(config, config.weeks[0], plate, table["well"].iloc[0])
    rows, columns = (np.linspace(-1, 1, size) for size in config.field_px)
    light = 1 - 0.5 * lamp.vignette * ((rows[:, None] - lamp.centre[0]) ** 2 + (columns - lamp.centre[1]) ** 2)
    return [image for image, _ in draw], light / light.mean()


def smoothed_mean(fields):
    """Fit the mean of the fields less the darkest value of a channel, as a polynomial of second order."""
    mean = np.mean([field[:, ::8, ::8] for field in fields], axis=0, dtype=float)
    dark = np.min([np.percentile(field[:, ::8, ::8], 0.1, axis=(1, 2)) for field in fields], axis=0)
    y, x = ((2 * np.arange(size) * 8 + 1) / (size * 8) - 1 for size in mean.shape[1:])
    y, x = (axis.ravel() for axis in np.meshgrid(y, x, indexing="ij"))
    terms = np.stack([np.ones_like(x), x, y, x**2, x * y, y**2], axis=1)
    values = (mean - dark[:, None, None]).reshape(len(mean), -1)
    surface = np.linalg.lstsq(terms, values.T / values.mean(axis=1), rcond=None)[0].T
    return Illumination(tuple(dark), tuple(map(tuple, surface)))


def largest_error(found, true):
    """Largest relative error in the field, of each channel."""
    light = found.light(true.shape)
    light /= light.mean(axis=(1, 2), keepdims=True)
    return np.abs(light / true - 1).max(axis=(1, 2))


if __name__ == "__main__":
    main()
