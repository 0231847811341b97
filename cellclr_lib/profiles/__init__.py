"""Profiles: features of cells become scores. Tables in, tables out; needs neither images nor networks."""

from cellclr_lib.profiles.aggregate import load_profiles, treatments, wells
from cellclr_lib.profiles.export import from_parquet, to_anndata, to_parquet
from cellclr_lib.profiles.metrics import (
    Score,
    batch_predictability,
    confusion,
    control_retrieval,
    drop,
    nsc,
    nscb,
    replicate_retrieval,
)
from cellclr_lib.profiles.postprocess import TVN, Coral, CoralCentred, Standardizer, TVNCentred, Whitener
from cellclr_lib.profiles.probe import compound_probe
from cellclr_lib.profiles.report import published_scores, report
from cellclr_lib.profiles.uncertainty import drop_interval, interval, permutation_null

__all__ = [
    "TVN",
    "Coral",
    "CoralCentred",
    "Score",
    "Standardizer",
    "TVNCentred",
    "Whitener",
    "batch_predictability",
    "compound_probe",
    "confusion",
    "control_retrieval",
    "drop",
    "drop_interval",
    "from_parquet",
    "interval",
    "load_profiles",
    "nsc",
    "nscb",
    "permutation_null",
    "published_scores",
    "replicate_retrieval",
    "report",
    "to_anndata",
    "to_parquet",
    "treatments",
    "wells",
]
