"""Write profiles as others read them: Parquet for pycytominer and copairs, AnnData for scanpy.

Annotation columns come first: ``Metadata_Plate``, ``Metadata_Well``, ``Metadata_Compound``,
``Metadata_Concentration`` (µM), ``Metadata_MoA``, ``Metadata_Batch`` (the week) and so on; the features follow.
Where a well has no known mechanism this library holds an empty text, and others expect a missing value: that is
written. Explained in chapter 10, your own screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cellclr_lib.profiles.formats import PREFIX, Profiles, make_anndata, ours, theirs

if TYPE_CHECKING:
    from anndata import AnnData

    from cellclr_lib.profiles.formats import Annotations, Features


def to_parquet(
    meta: Annotations, feats: Features | None, path: str | Path, *, names: Sequence[str] | None = None
) -> None:
    """Write one Parquet table of ``Metadata_*`` and feature columns, which pycytominer and copairs read.

    Parameters
    ----------
    meta, feats : DataFrame and (n, D) float array
        Cells, wells or treatments; or another form of `cellclr_lib.profiles.formats`, with None for `feats`.
    path : path
        File to write; its folder must exist.
    names : sequence of str, optional
        D feature names. Default: those that came with the features, else ``Cells_Embedding_0000`` and so on,
        which pycytominer takes for features of its own accord; with other names, give it the list.

    Raises
    ------
    ValueError
        If the rows do not match, a feature is not finite, or the names do not fit.
    FileNotFoundError
        If there is no such folder.

    Examples
    --------
    >>> import tempfile
    >>> meta = pd.DataFrame({"plate": ["p1"], "well": ["B02"], "compound": ["taxol"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_parquet(meta, np.array([[0.5]], np.float32), f"{folder}/profiles.parquet", names=["area"])
    ...     list(pd.read_parquet(f"{folder}/profiles.parquet"))
    ['Metadata_Plate', 'Metadata_Well', 'Metadata_Compound', 'area']
    """
    path, profiles = Path(path), Profiles(meta, feats)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to write {path.name} to; make it first")
    features = pd.DataFrame(profiles.feats, columns=_feature_names(names, profiles))
    pd.concat([theirs(profiles.meta), features], axis=1).to_parquet(path, index=False)


def from_parquet(path: str | Path) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Read what `to_parquet` wrote.

    Parameters
    ----------
    path : path

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

    Examples
    --------
    >>> import tempfile
    >>> meta = pd.DataFrame({"plate": ["p1"], "well": ["B02"], "compound": ["taxol"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_parquet(meta, np.array([[0.5]], np.float32), f"{folder}/profiles.parquet", names=["area"])
    ...     again, feats, names = from_parquet(f"{folder}/profiles.parquet")
    >>> again["well"].tolist(), feats.tolist(), names
    (['B02'], [[0.5]], ['area'])
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: expected profiles, as to_parquet writes them")
    table = pd.read_parquet(path)
    annotations = [name for name in table if name.startswith(PREFIX)]
    names = [name for name in table if not name.startswith(PREFIX)]
    if not annotations or not names:
        raise ValueError(
            f"{path} has {len(annotations)} {PREFIX}* and {len(names)} feature columns; expected both"
        )
    return ours(table[annotations]), table[names].to_numpy(), names


def to_anndata(meta: Annotations, feats: Features | None = None, *, names: Sequence[str] | None = None) -> AnnData:
    """Convert profiles to an `anndata.AnnData`; ``.write_h5ad(path)`` puts it on disk.

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

    Examples
    --------
    >>> meta = pd.DataFrame({"plate": ["p1"], "well": ["B02"], "compound": ["taxol"]})
    >>> adata = to_anndata(meta, np.array([[0.5]], np.float32), names=["area"])
    >>> adata.shape, list(adata.obs)
    ((1, 1), ['Metadata_Plate', 'Metadata_Well', 'Metadata_Compound'])
    """
    try:
        import anndata  # noqa: F401
    except ImportError as error:
        raise ImportError('AnnData needs its package: pip install -c constraints.txt -e ".[anndata]"') from error
    profiles = Profiles(meta, feats)
    var = pd.DataFrame(index=pd.Index(_feature_names(names, profiles), dtype=object))
    return make_anndata(profiles.meta, profiles.feats, var)


def _feature_names(names: Sequence[str] | None, profiles: Profiles) -> list[str]:
    count = profiles.feats.shape[1]
    if names is None:
        names = profiles.names or [f"Cells_Embedding_{i:04d}" for i in range(count)]
    names = list(names)
    if len(names) != count or len(set(names)) != len(names):
        raise ValueError(f"{len(set(names))} different names for {count} features; expected one each")
    if taken := [name for name in names if name.startswith(PREFIX)]:
        raise ValueError(
            f"feature {taken[0]!r} would be read as an annotation; no feature may start with {PREFIX}"
        )
    return names
