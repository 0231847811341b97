"""List which treatment lies in which well: BBBC021's plate map, restricted to annotated treatments.

The facts below (compounds, mechanisms, doses, wells, plates) describe BBBC021v1 (Caie et al. 2010, Ljosa et al.
2012). Explained in chapter 1, the screen.
"""

import uuid
import zlib

import numpy as np
import pandas as pd

from cellclr_lib.data.simulation.config import SimulationConfig

DMSO_WELLS = ("B02", "C02", "D02", "E11", "F11", "G11")
TAXOL_WELLS = ("B11", "C11", "D11", "E02", "F02", "G02")  # positive control, 0.3 uM, on every plate
STAINS = (("DAPI", "w1"), ("Tubulin", "w2"), ("Actin", "w4"))  # there is no w3

# Plates that carry the same treatments are replicates 1, 2, 3 of one another. Set "a" and "b" of each week.
PLATE_SETS = {
    "1a": "22123 22141 22161",
    "1b": "22361 22381 22401",
    "2a": "24121 24141 24161",
    "2b": "24361 24381 24401",
    "3a": "25421 25441 25461",
    "3b": "25681 25701 25721",
    "4a": "27481 27521 27542",
    "4b": "27801 27821 27861",
    "5a": "28901 28921 28961",
    "5b": "29301 29321 29341",
    "6a": "31641 31661 31681",
    "6b": "32061 32121 32161",
    "7a": "34341 34381 34641",
    "7b": "34661 34681",
    "8a": "38203 38221 38241",
    "8b": "38341 38342",
    "9a": "39206 39221 39222",
    "9b": "39282 39283 39301",
    "10a": "40111 40115 40119",
}

# compound | mechanism of action | plate set | dose in uM @ well ...
COMPOUNDS = """
cytochalasin B | Actin disruptors | 1a | 10@B04 30@B03
cytochalasin D | Actin disruptors | 2a | 0.3@B06
latrunculin B | Actin disruptors | 1b | 1@B06 3@B05
AZ-A | Aurora kinase inhibitors | 1a | 0.1@G08 0.3@G07 1@G06 3@G05 10@G04 30@G03
AZ258 | Aurora kinase inhibitors | 4b | 0.1@C08 0.3@C07 1@C06
AZ841 | Aurora kinase inhibitors | 3a | 0.1@E08 0.3@E07 1@E06
mevinolin/lovastatin | Cholesterol-lowering | 9a | 1.5@E06 5@E05 15@E04
simvastatin | Cholesterol-lowering | 9b | 2@D05 6@D04 20@D03
chlorambucil | DNA damage | 3b | 10@F03
cisplatin | DNA damage | 3b | 10@E04
etoposide | DNA damage | 3a | 1@F06 3@F05 10@F04
mitomycin C | DNA damage | 4b | 0.1@G07 0.3@G06 1@G05 3@G04
camptothecin | DNA replication | 8a | 0.003@C10 0.01@C09 0.03@C08
floxuridine | DNA replication | 9b | 10@B05 30@B04
methotrexate | DNA replication | 2a | 10@G03
mitoxantrone | DNA replication | 9b | 0.003@F10 0.01@F09
AZ-C | Eg5 inhibitors | 3a | 0.001@D09 0.003@D08 0.01@D07 0.03@D06 0.1@D05 0.3@D04 1@D03
AZ138 | Eg5 inhibitors | 10a | 0.03@C09 0.1@C08 0.3@C07 1@C06 3@C05
AZ-J | Epithelial | 5a | 1@B05 3@B04 10@B03
AZ-U | Epithelial | 10a | 1@D06 3@D05 10@D04
PP-2 | Epithelial | 8b | 3@E05 10@E04
PD-169316 | Kinase inhibitors | 7b | 3@F05 10@F04
alsterpaullone | Kinase inhibitors | 7b | 1@G06 3@G05
bryostatin | Kinase inhibitors | 7b | 0.3@E06
colchicine | Microtubule destabilizers | 1b | 0.03@E07
demecolcine | Microtubule destabilizers | 3b | 0.3@B06 1@B05 3@B04 10@B03
nocodazole | Microtubule destabilizers | 1a | 1@E04 3@E03
vincristine | Microtubule destabilizers | 3a | 0.003@B10 0.01@B09 0.03@B08 0.1@B07 0.3@B06 1@B05 3@B04
docetaxel | Microtubule stabilizers | 7a | 0.03@C06 0.1@C05 0.3@C04
epothilone B | Microtubule stabilizers | 1b | 0.1@D06 0.3@D05 1@D04
taxol | Microtubule stabilizers | 1a | 0.3@D05 1@D04 3@D03
ALLN | Protein degradation | 2a | 3@D06 100@D03
MG-132 | Protein degradation | 2b | 0.1@C09 3@C06
lactacystin | Protein degradation | 6a | 10@B03
proteasome inhibitor I | Protein degradation | 7a | 0.1@D07 3@D04
anisomycin | Protein synthesis | 4a | 0.3@B06 1@B05
cyclohexamide | Protein synthesis | 4b | 5@B05 15@B04 50@B03
emetine | Protein synthesis | 3b | 0.1@C08 0.3@C07 1@C06
"""


def treatments() -> pd.DataFrame:
    """List the 103 annotated treatments: ``compound moa plates concentration_um well``, one row each."""
    rows = []
    for line in COMPOUNDS.strip().splitlines():
        compound, moa, plates, doses = (part.strip() for part in line.split("|"))
        for dose in doses.split():
            concentration, well = dose.split("@")
            rows.append((compound, moa, plates, float(concentration), well))
    return pd.DataFrame(rows, columns=["compound", "moa", "plates", "concentration_um", "well"])


def wells(config: SimulationConfig) -> pd.DataFrame:
    """List every simulated well.

    Returns
    -------
    DataFrame
        ``plate well batch week replicate compound concentration_um moa role``; role is "control" (DMSO),
        "positive_control" (taxol 0.3 uM outside its dose series) or "treatment".
    """
    series = treatments()
    rows = []
    for name, numbers in PLATE_SETS.items():
        week = int(name[:-1])
        if week not in config.weeks:
            continue
        on_plate = series[series["plates"] == name]
        for replicate, number in enumerate(numbers.split()[: config.replicates], start=1):
            plate = (f"Week{week}_{number}", f"Week{week}", week, replicate)
            dmso, taxol = DMSO_WELLS[: config.dmso_wells], TAXOL_WELLS[: config.taxol_wells]
            rows += [(*plate, well, "DMSO", 0.0, "DMSO", "control") for well in dmso]
            rows += [(*plate, well, "taxol", 0.3, "Microtubule stabilizers", "positive_control") for well in taxol]
            rows += [
                (*plate, row.well, row.compound, row.concentration_um, row.moa, "treatment")
                for row in on_plate.itertuples()
            ]
    columns = ["plate", "batch", "week", "replicate", "well", "compound", "concentration_um", "moa", "role"]
    return pd.DataFrame(rows, columns=columns)


def generator(config: SimulationConfig, *names: str | int) -> np.random.Generator:
    """Make a random generator for one thing simulated, so that no result depends on the order of work."""
    words = [zlib.crc32(str(name).encode()) for name in names]
    return np.random.default_rng([config.seed, *words])


def fields(config: SimulationConfig) -> pd.DataFrame:
    """List every field to be written: the columns of `wells` plus ``site`` and one file name per stain."""
    table = wells(config)
    sites = table["role"].map(lambda role: config.treated_sites if role == "treatment" else config.control_sites)
    table = table.loc[table.index.repeat(sites)].reset_index(drop=True)
    table["site"] = table.groupby(["plate", "well"]).cumcount() + 1
    for stain, wave in STAINS:
        table[stain] = [
            f"{row.batch}_{row.well}_s{row.site}_{wave}{_guid(config, row.plate, row.well, row.site, wave)}.tif"
            for row in table.itertuples()
        ]
    return table


def _guid(config: SimulationConfig, *names: str | int) -> str:
    """Make a reproducible identifier as the microscope put behind every real file name."""
    return str(uuid.UUID(bytes=generator(config, "guid", *names).bytes(16), version=4)).upper()


def image_table(table: pd.DataFrame) -> pd.DataFrame:
    """Make the table BBBC021_v1_image.csv: one row per field, with exactly the real columns.

    Parameters
    ----------
    table : DataFrame
        From `fields`.
    """
    out = pd.DataFrame({"TableNumber": table["week"], "ImageNumber": np.arange(1, len(table) + 1)})
    for stain, _ in STAINS:
        out[f"Image_FileName_{stain}"] = table[stain]
        out[f"Image_PathName_{stain}"] = table["batch"] + "/" + table["plate"]
    out["Image_Metadata_Plate_DAPI"] = table["plate"]
    out["Image_Metadata_Well_DAPI"] = table["well"]
    out["Replicate"] = table["replicate"]
    out["Image_Metadata_Compound"] = table["compound"]
    out["Image_Metadata_Concentration"] = table["concentration_um"]
    return out


def moa_table(table: pd.DataFrame) -> pd.DataFrame:
    """Make the table BBBC021_v1_moa.csv: ``compound concentration moa`` of every treatment, DMSO included."""
    out = table[["compound", "concentration_um", "moa"]].drop_duplicates()
    out = out.rename(columns={"concentration_um": "concentration"})
    return out.sort_values(["moa", "compound", "concentration"], ignore_index=True)
