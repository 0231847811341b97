"""Profiles: features of cells become scores. Tables in, tables out; needs neither images nor networks."""

from cellclr_lib.profiles.aggregation import aggregate_treatments, aggregate_wells
from cellclr_lib.profiles.exporting import from_parquet, to_anndata, to_parquet
from cellclr_lib.profiles.linear_probe import compound_probe
from cellclr_lib.profiles.metrics import (
    control_retrieval,
    drop,
    nsc,
    nscb,
    replicate_retrieval,
    week_accuracy,
)
from cellclr_lib.profiles.postprocessing import TVN, Coral, Whitener, ZScore, postprocess
from cellclr_lib.profiles.published import load_profiles, published_scores
from cellclr_lib.profiles.neighbours import Score, confusion, retrieval
from cellclr_lib.profiles.score_table import tabulate_scores
from cellclr_lib.profiles.uncertainty import bootstrap_interval, drop_interval, permutation_null

__all__ = [
    "TVN",
    "Coral",
    "Score",
    "Whitener",
    "ZScore",
    "aggregate_treatments",
    "aggregate_wells",
    "bootstrap_interval",
    "compound_probe",
    "confusion",
    "control_retrieval",
    "drop",
    "drop_interval",
    "from_parquet",
    "load_profiles",
    "nsc",
    "nscb",
    "permutation_null",
    "postprocess",
    "published_scores",
    "replicate_retrieval",
    "retrieval",
    "tabulate_scores",
    "to_anndata",
    "to_parquet",
    "week_accuracy",
]
