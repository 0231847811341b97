"""The simulated screen: the plate map is BBBC021's, files are reproducible, a killed run is no screen."""

import dataclasses
import hashlib

import numpy as np
import pandas as pd
import pytest
import tifffile

from cellclr_lib.data.simulation import (
    SimulationConfig,
    mechanisms,
    phenotypes,
    plate_map,
    simulate,
    simulate_field,
    writing,
)

TINY = SimulationConfig.smoke(weeks=(10,), replicates=1, field_px=(96, 128), dmso_wells=1)
PER_MOA = {  # compounds, treatments
    "Actin disruptors": (3, 5),
    "Aurora kinase inhibitors": (3, 12),
    "Cholesterol-lowering": (2, 6),
    "DNA damage": (4, 9),
    "DNA replication": (4, 8),
    "Eg5 inhibitors": (2, 12),
    "Epithelial": (3, 8),
    "Kinase inhibitors": (3, 5),
    "Microtubule destabilizers": (4, 14),
    "Microtubule stabilizers": (3, 9),
    "Protein degradation": (4, 7),
    "Protein synthesis": (3, 8),
}


def digest(root):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    return simulate(TINY, tmp_path_factory.mktemp("simulated") / "screen", progress=False, jobs=1)


def test_plate_map_has_the_counts_of_the_protocol():
    wells = plate_map.wells(SimulationConfig())
    series = plate_map.treatments()
    counts = {moa: (g["compound"].nunique(), len(g)) for moa, g in series.groupby("moa")}
    assert counts == PER_MOA
    assert wells.groupby("week")["plate"].nunique().tolist() == [6, 6, 6, 6, 6, 6, 5, 5, 6, 3]
    assert (wells["role"] == "control").sum() == 330
    treated = wells[wells["role"] == "treatment"]
    assert len(treated) == 302
    assert treated.groupby(["compound", "concentration_um"]).size().value_counts().to_dict() == {3: 96, 2: 7}
    assert (treated.groupby("compound")["week"].nunique() == 1).all()
    assert not wells.duplicated(["plate", "well"]).any()


def test_plate_map_is_the_real_one(real_bbbc021):
    image = pd.read_csv(real_bbbc021 / "BBBC021_v1_image.csv")
    image = image.rename(
        columns={
            "Image_Metadata_Plate_DAPI": "plate",
            "Image_Metadata_Well_DAPI": "well",
            "Image_Metadata_Compound": "compound",
            "Image_Metadata_Concentration": "concentration",
        }
    )
    real = image.drop_duplicates(["plate", "well"]).set_index(["plate", "well"])[["compound", "concentration"]]
    ours = plate_map.wells(dataclasses.replace(SimulationConfig(), taxol_wells=6)).set_index(["plate", "well"])
    joined = ours.join(real.add_suffix("_real"), how="left")
    assert (joined["compound"] == joined["compound_real"]).all()
    assert (joined["concentration_um"] == joined["concentration_real"]).all()
    moa = pd.read_csv(real_bbbc021 / "BBBC021_v1_moa.csv")
    written = plate_map.moa_table(plate_map.fields(SimulationConfig()))
    keys = ["compound", "concentration", "moa"]
    assert set(map(tuple, moa[keys].to_numpy())) == set(map(tuple, written[keys].to_numpy()))


def test_image_table_has_the_real_columns(screen, real_bbbc021):
    ours = pd.read_csv(screen / writing.IMAGE_TABLE)
    real = pd.read_csv(real_bbbc021 / "BBBC021_v1_image.csv", nrows=2)
    assert list(ours) == list(real)


def test_every_file_of_the_table_is_a_16_bit_field(screen):
    table = pd.read_csv(screen / writing.IMAGE_TABLE)
    assert len(table) == len(plate_map.fields(TINY))
    for row in table.itertuples():
        for name in (row.Image_FileName_DAPI, row.Image_FileName_Tubulin, row.Image_FileName_Actin):
            image = tifffile.imread(screen / row.Image_Metadata_Plate_DAPI / name)
            assert image.shape == (96, 128) and image.dtype == np.uint16
            assert (image % 16 == 0).all() and image.max() > 16 * 40
    assert len(list(screen.glob("Week*/*.tif"))) == 3 * len(table)
    assert not list(screen.rglob("*.part"))


def test_truth_marks_bright_nuclei(screen):
    truth = pd.read_parquet(screen / writing.TRUTH)
    fields = plate_map.fields(TINY).set_index(["plate", "well", "site"])
    inside = truth[
        truth["x_px"].between(8, 119)
        & truth["y_px"].between(8, 87)
        & ~truth["is_debris"]
        & (truth["state"] == "interphase")
        & ~truth["out_of_focus"]
    ]
    brighter = []
    for cell in inside.itertuples():
        name = fields.loc[(cell.plate, cell.well, cell.site), "DAPI"]
        dna = tifffile.imread(screen / cell.plate / name).astype(float)
        around = dna[cell.y_px - 2 : cell.y_px + 3, cell.x_px - 2 : cell.x_px + 3].mean()
        brighter.append(around > np.percentile(dna, 50))
    assert len(brighter) > 10 and np.mean(brighter) > 0.95


def test_same_seed_same_bytes_whatever_the_number_of_processes(screen, tmp_path):
    again = simulate(TINY, tmp_path / "again", progress=False, jobs=2)
    assert digest(again) == digest(screen)


def test_another_seed_gives_another_screen():
    field = plate_map.fields(TINY).iloc[0]
    first, _ = simulate_field(TINY, field)
    second, _ = simulate_field(dataclasses.replace(TINY, seed=1), field)
    assert (first != second).mean() > 0.5


def test_an_interrupted_screen_has_no_image_table_and_is_completed(screen, tmp_path, monkeypatch):
    calls = []

    def stop(*job, write=writing._write_field):
        calls.append(job)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return write(*job)

    monkeypatch.setattr(writing, "_write_field", stop)
    with pytest.raises(KeyboardInterrupt):
        simulate(TINY, tmp_path / "screen", progress=False, jobs=1)
    assert not (tmp_path / "screen" / writing.IMAGE_TABLE).exists()
    (tmp_path / "screen" / ".half-written.1.part.tif").write_bytes(b"killed here")
    monkeypatch.undo()
    assert digest(simulate(TINY, tmp_path / "screen", progress=False, jobs=1)) == digest(screen)


def test_killed_before_its_settings_were_written_it_can_begin_again(screen, tmp_path):
    (tmp_path / "screen").mkdir()
    (tmp_path / "screen" / ".simulation.1.part.yaml").write_bytes(b"killed here")
    assert digest(simulate(TINY, tmp_path / "screen", progress=False, jobs=1)) == digest(screen)


def test_a_folder_with_something_else_is_refused(screen, tmp_path):
    with pytest.raises(FileExistsError, match="other settings"):
        simulate(dataclasses.replace(TINY, seed=5), screen, progress=False)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        simulate(TINY, tmp_path, progress=False)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="weeks"):
        SimulationConfig(weeks=(11,))
    with pytest.raises(ValueError, match="replicates"):
        SimulationConfig(replicates=4)
    with pytest.raises(ValueError, match="field_px"):
        SimulationConfig(field_px=(10, 10))


def test_smoke_screen_allows_both_scores():
    treated = plate_map.wells(SimulationConfig.smoke()).query("role == 'treatment'")
    across = treated.groupby("moa").agg(compounds=("compound", "nunique"), weeks=("week", "nunique"))
    assert (across["compounds"] > 1).sum() >= 4  # NSC can be answered
    assert (across["weeks"] > 1).sum() >= 2  # and NSCB
    assert (treated.groupby(["compound", "concentration_um"])["plate"].nunique() == 2).all()


def test_every_mechanism_moves_known_properties():
    known = {*mechanisms.SIZES, *mechanisms.TRAITS, *mechanisms.SHARES, *mechanisms.POPULATION}
    assert set(mechanisms.MECHANISMS) == set(PER_MOA)
    for moa, changes in mechanisms.MECHANISMS.items():
        assert set(changes) <= known, moa


def test_doses_fade_into_dmso():
    config = SimulationConfig()
    responses = [phenotypes.dose_response(config, "AZ-C", dose) for dose in (0.001, 0.01, 0.1, 1.0)]
    assert responses == sorted(responses) and responses[0] < 0.8 < responses[-1] < 1.0
    assert not any(phenotypes.effect(config, "DMSO", "DMSO", 0.0).values())
    weak = phenotypes.effect(config, "AZ-C", "Eg5 inhibitors", 1e-9)
    assert max(abs(value) for value in weak.values()) < 1e-4


def test_compounds_of_a_mechanism_are_alike():
    config = SimulationConfig()
    full = {}
    for row in plate_map.treatments().drop_duplicates("compound", keep="last").itertuples():
        effects = phenotypes.effect(config, row.compound, row.moa, 1e9)
        full[row.compound] = (row.moa, np.array([effects[name] for name in mechanisms.TRAITS]))
    within, between = [], []
    for a, (moa_a, x) in full.items():
        for b, (moa_b, y) in full.items():
            if a < b:
                (within if moa_a == moa_b else between).append(np.linalg.norm(x - y))
    assert np.mean(within) < 0.8 * np.mean(between)
