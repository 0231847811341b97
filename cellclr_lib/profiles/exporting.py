"""Profiles as others read them: Parquet for pycytominer and copairs, AnnData for scanpy.

Annotation columns come first: ``Metadata_Plate``, ``Metadata_Well``, ``Metadata_Compound``,
``Metadata_Concentration`` (µM), ``Metadata_MoA``, ``Metadata_Batch`` (the week) and so on; the features follow.
Where a well has no known mechanism this library holds an empty text, and others expect a missing value: that is
written. Explained in chapter 10, your own screen.
"""

from pathlib import Path

import pandas as pd

from cellclr_lib.profiles.tables import checked

# Our columns under the names that the tables of other tools carry; any other column keeps its own.
METADATA = {
    "plate": "Metadata_Plate",
    "well": "Metadata_Well",
    "site": "Metadata_Site",
    "batch": "Metadata_Batch",
    "replicate": "Metadata_Replicate",
    "compound": "Metadata_Compound",
    "concentration_um": "Metadata_Concentration",
    "moa": "Metadata_MoA",
    "role": "Metadata_Role",
}
PREFIX = "Metadata_"
BETWEEN_WEEKS = "|"  # a treatment seen in two weeks lies in the batch "Week1|Week2"


def to_parquet(path, meta, feats, names=None):
    """Write one Parquet table of ``Metadata_*`` and feature columns, which pycytominer and copairs read.

    Parameters
    ----------
    path : path
        Target; its folder must exist.
    meta, feats : DataFrame and (n, D) float array
        Cells, wells or treatments.
    names : list of str, optional
        D feature names. Default: ``Cells_Embedding_0000`` and so on, which pycytominer takes for features of its
        own accord; with other names, give it the list.

    Raises
    ------
    ValueError
        If the rows do not match, a feature is not finite, or the names do not fit.
    FileNotFoundError
        If there is no such folder.
    """
    path, feats = Path(path), checked(meta, feats)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to write {path.name} to; make it first")
    features = pd.DataFrame(feats, columns=_feature_names(names, feats))
    pd.concat([_annotations(meta), features], axis=1).to_parquet(path, index=False)


def from_parquet(path):
    """Read what `to_parquet` wrote.

    Returns
    -------
    meta : DataFrame
        With the column names of this library.
    feats : (n, D) array of the type that was written
    names : list of str
        D feature names.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it has no ``Metadata_*`` or no other column.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: expected profiles, as to_parquet writes them")
    table = pd.read_parquet(path)
    theirs = [name for name in table if name.startswith(PREFIX)]
    names = [name for name in table if not name.startswith(PREFIX)]
    if not theirs or not names:
        raise ValueError(f"{path} has {len(theirs)} {PREFIX}* and {len(names)} feature columns; expected both")
    ours = {name: column for column, name in METADATA.items()}
    meta = table[theirs].rename(columns=lambda name: ours.get(name, name.removeprefix(PREFIX)))
    if "moa" in meta:
        meta["moa"] = meta["moa"].fillna("")
    if "batch" in meta and "well" not in meta:  # treatments
        meta["batch"] = [tuple(weeks.split(BETWEEN_WEEKS)) for weeks in meta["batch"]]
    return meta, table[names].to_numpy(), names


def to_anndata(meta, feats, names=None):
    """Profiles as an `anndata.AnnData`; ``.write_h5ad(path)`` puts it on disk.

    Parameters
    ----------
    meta, feats, names
        As for `to_parquet`.

    Returns
    -------
    anndata.AnnData
        ``X`` (n, D) of the type that came in, ``obs`` the ``Metadata_*`` columns, ``var_names`` the features.

    Raises
    ------
    ImportError
        If the package anndata is missing.
    ValueError
        As for `to_parquet`.
    """
    try:
        from anndata import AnnData
    except ImportError as error:
        raise ImportError('AnnData needs its package: pip install -c constraints.txt -e ".[anndata]"') from error
    feats, obs = checked(meta, feats), _annotations(meta)
    # Its files hold text as plain Python strings or as categories of them, not in the newer type of pandas.
    for column in obs.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in obs.dtypes]]:
        kinds = pd.Index(sorted(obs[column].dropna().unique()), dtype=object)
        obs[column] = pd.Categorical(obs[column], categories=kinds)
    obs.index = pd.Index([str(row) for row in range(len(obs))], dtype=object)
    return AnnData(feats, obs=obs, var=pd.DataFrame(index=pd.Index(_feature_names(names, feats), dtype=object)))


def _annotations(meta):
    meta = meta.reset_index(drop=True)
    if "moa" in meta:
        meta["moa"] = meta["moa"].where(meta["moa"] != "")
    if "batch" in meta:
        joined = [weeks if isinstance(weeks, str) else BETWEEN_WEEKS.join(weeks) for weeks in meta["batch"]]
        meta["batch"] = joined
    meta.attrs = {}  # not every writer takes what may lie in there
    return meta.rename(columns=lambda column: METADATA.get(column, f"{PREFIX}{column}"))


def _feature_names(names, feats):
    names = [f"Cells_Embedding_{i:04d}" for i in range(feats.shape[1])] if names is None else list(names)
    if len(names) != feats.shape[1] or len(set(names)) != len(names):
        raise ValueError(f"{len(set(names))} different names for {feats.shape[1]} features; expected one each")
    if taken := [name for name in names if name.startswith(PREFIX)]:
        raise ValueError(
            f"feature {taken[0]!r} would be read as an annotation; no feature may start with {PREFIX}"
        )
    return names
