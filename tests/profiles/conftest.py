"""A made-up screen: four weeks of two plates, DMSO, taxol and ten compounds, one feature offset per week."""

import numpy as np
import pandas as pd
import pytest

from cellclr_lib.profiles import load_profiles


@pytest.fixture(scope="session")
def cells():
    """(meta, feats) of 1,400 cells: 6 features, one of them the week."""
    generator = np.random.default_rng(7)
    rows = []
    for week in range(1, 5):
        for plate in range(2):
            name = f"Week{week}_{plate}"
            wells = [("DMSO", 0.0, "DMSO", "control")] * 5 + [("taxol", 0.3, "M0", "positive_control")] * 2
            wells += [
                (f"c{c}", dose, f"M{c % 3}", "treatment")
                for c in range(10)
                if c % 4 == week - 1
                for dose in (0.3, 1.0)
            ]
            wells += [("odd", 1.0, "", "unannotated")]
            rows += [(name, f"B{i:02d}", f"Week{week}", plate, *well) for i, well in enumerate(wells)]
    wells = pd.DataFrame(rows, columns="plate well batch replicate compound concentration_um moa role".split())
    meta = wells.loc[np.repeat(wells.index, 1 + generator.integers(1, 21, len(wells)))]
    meta = meta.sample(frac=1, random_state=1).reset_index(drop=True)
    centre = {moa: generator.normal(size=6) for moa in sorted(set(meta["moa"]))}
    feats = np.stack([centre[moa] for moa in meta["moa"]]) + generator.normal(size=(len(meta), 6))
    feats[:, 5] += 2 * meta["batch"].str[4:].astype(int)
    meta["site"] = generator.integers(1, 5, len(meta))
    return meta, feats


@pytest.fixture(scope="session")
def ljosa(real_bbbc021):
    """Loader of the real profiles: clean -> (meta, feats)."""
    tables = [
        real_bbbc021 / name
        for name in ("ljosa_jbiomolscreen_2013_per_well_mean.csv.gz", "BBBC021_v1_image.csv", "BBBC021_v1_moa.csv")
    ]
    loaded = {clean: load_profiles(*tables, clean=clean) for clean in (True, False)}
    return loaded.get
