"""Turn features of cells into scores. Tables in, tables out; needs neither images nor networks.

Names are looked up on first use, so that importing the package does not import scikit-learn.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "aggregation": ["aggregate_treatments", "aggregate_wells"],
        "exporting": ["from_parquet", "to_anndata", "to_parquet"],
        "linear_probe": ["compound_probe"],
        "metrics": ["control_retrieval", "drop", "nsc", "nscb", "replicate_retrieval", "week_accuracy"],
        "neighbours": ["Score", "confusion", "retrieval"],
        "postprocessing": ["postprocess"],
        "published": ["load_profiles", "published_scores"],
        "score_table": ["tabulate_scores"],
        "tvn": ["TVN", "Coral"],
        "uncertainty": ["bootstrap_interval", "drop_interval", "permutation_null"],
        "whitening": ["Whitener"],
        "z_score": ["ZScore"],
    },
)
