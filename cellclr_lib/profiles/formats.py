"""Take profiles in the forms of this library, of cytomining and of scverse, and give back the form that came in.

Every function of this package that takes ``(meta, feats)`` takes instead of the two

* one DataFrame with ``Metadata_*`` and feature columns, as pycytominer and copairs use it, or
* one `anndata.AnnData`, whose ``obs`` holds the annotations under these or under our names.

Features may be an (n, D) array, or a DataFrame whose columns name them: the names travel along. Explained in
chapter 10, *your own screen*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from anndata import AnnData

    Annotations: TypeAlias = pd.DataFrame | AnnData
    Features: TypeAlias = np.ndarray | pd.DataFrame

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
BETWEEN_BATCHES = "|"  # a treatment seen in two weeks lies in the batch "Week1|Week2"

_BLOCK_ROWS = 1024  # rows looked at together: small enough for the processor's cache


class Profiles:
    """Hold annotations and features of cells, wells or treatments, and remember the form in which they came.

    Parameters
    ----------
    meta : DataFrame or AnnData
        Annotations with n rows; or, without `feats`, a table with ``Metadata_*`` columns or an AnnData.
    feats : ndarray or DataFrame, shape (n, D), optional
        Features.
    columns : sequence of str
        Annotations (our names) that must be there.

    Attributes
    ----------
    meta : DataFrame
        Annotations under our names: ``plate well batch compound concentration_um moa`` and so on.
    feats : ndarray, shape (n, D), floating point
    names : list of str or None
        Names of the features, if they came with names.

    Raises
    ------
    ValueError
        If the rows do not match, an annotation is missing, or a feature is not a finite number.
    TypeError
        If `meta` alone is neither a table with ``Metadata_*`` columns nor an AnnData.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"Metadata_Plate": ["p", "p"], "Metadata_Well": ["A01", "A02"], "area": [1.0, 3.0]})
    >>> profiles = Profiles(table)
    >>> list(profiles.meta), profiles.names
    (['plate', 'well'], ['area'])
    >>> profiles.with_feats(profiles.feats - 2)
      Metadata_Plate Metadata_Well  area
    0              p           A01  -1.0
    1              p           A02   1.0
    """

    def __init__(
        self, meta: Annotations, feats: Features | None = None, columns: Sequence[str] = ()
    ) -> None:
        self._source, self._alone = meta, feats is None
        self.meta: pd.DataFrame
        self.names: list[str] | None = None
        if feats is not None:
            self.meta = ours(meta)
            if isinstance(feats, pd.DataFrame):
                self.names = [str(name) for name in feats]
        elif isinstance(meta, pd.DataFrame):
            self.names = [name for name in meta if not str(name).startswith(PREFIX)]
            if len(self.names) in (0, len(meta.columns)):
                raise TypeError(
                    f"one table alone must hold {PREFIX}* columns and features; it has "
                    f"{', '.join(map(str, meta))}. Or give annotations and features as two: (meta, feats)"
                )
            if text := [name for name in self.names if not pd.api.types.is_numeric_dtype(meta[name])]:
                raise ValueError(f"feature {text[0]!r} is not a number; an annotation is named {PREFIX}…")
            self.meta, feats = ours(meta.drop(columns=self.names)), meta[self.names].to_numpy()
        elif hasattr(meta, "obs") and hasattr(meta, "X"):
            self.meta, self.names = ours(meta.obs), [str(name) for name in meta.var_names]
            feats = meta.X.toarray() if hasattr(meta.X, "toarray") else meta.X
        else:
            raise TypeError(
                f"expected (meta, feats), one table with {PREFIX}* columns or an AnnData; "
                f"got {type(meta).__name__}"
            )
        self.feats = checked(self.meta, feats, columns)

    def with_feats(self, feats: np.ndarray, prefix: str | None = None) -> Any:
        """Return the same rows with other features, in the form that came in.

        Parameters
        ----------
        feats : ndarray, shape (n, D)
        prefix : str, optional
            The features are no longer those that came in: named ones become ``prefix_0000`` and so on.

        Returns
        -------
        ndarray, DataFrame or AnnData
            Features alone for ``(meta, feats)``; else the whole table or AnnData.
        """
        names = self.names
        if prefix is not None and names is not None:
            names = [f"{prefix}_{i:04d}" for i in range(feats.shape[1])]
        if not self._alone:
            return feats if names is None else pd.DataFrame(feats, columns=names)
        if isinstance(self._source, pd.DataFrame):
            out = self._source[[name for name in self._source if str(name).startswith(PREFIX)]]
            return out.join(pd.DataFrame(feats, index=out.index, columns=names))
        out = self._source.copy()
        out.X = feats
        if names != self.names:
            out.var = pd.DataFrame(index=pd.Index(names, dtype=object))
        return out

    def with_rows(self, meta: pd.DataFrame, feats: np.ndarray) -> Any:
        """Return other rows with the same features, in the form that came in.

        Parameters
        ----------
        meta : DataFrame
            Annotations under our names.
        feats : ndarray, shape (rows, D)

        Returns
        -------
        tuple of (DataFrame, ndarray or DataFrame), DataFrame, or AnnData
        """
        if not self._alone:
            meta = theirs(meta) if _is_theirs(self._source) else meta
            return meta, feats if self.names is None else pd.DataFrame(feats, columns=self.names)
        if isinstance(self._source, pd.DataFrame):
            return pd.concat([theirs(meta), pd.DataFrame(feats, columns=self.names)], axis=1)
        return make_anndata(meta, feats, self._source.var.copy())


def ours(meta: pd.DataFrame) -> pd.DataFrame:
    """Rename ``Metadata_*`` columns to those of this library; a table without any is returned as it is.

    A missing mechanism becomes "", a text of several weeks becomes a tuple of weeks where rows are treatments.
    """
    if not _is_theirs(meta):
        return meta
    known = {theirs: column for column, theirs in METADATA.items()}
    meta = meta.rename(columns=lambda name: known.get(name, str(name).removeprefix(PREFIX)))
    for column in meta.columns[[isinstance(kind, pd.CategoricalDtype) for kind in meta.dtypes]]:
        meta[column] = meta[column].astype(meta[column].cat.categories.dtype)
    if "moa" in meta:
        meta["moa"] = meta["moa"].fillna("")
    if "batch" in meta and "well" not in meta:  # treatments
        meta["batch"] = [tuple(str(batches).split(BETWEEN_BATCHES)) for batches in meta["batch"]]
    return meta


def theirs(meta: pd.DataFrame) -> pd.DataFrame:
    """Rename the columns of this library to ``Metadata_*``; "" becomes a missing mechanism, weeks one text."""
    meta = meta.reset_index(drop=True)
    if "moa" in meta:
        meta["moa"] = meta["moa"].where(meta["moa"] != "")
    if "batch" in meta:
        joined = [b if isinstance(b, str) else BETWEEN_BATCHES.join(b) for b in meta["batch"]]
        meta["batch"] = joined
    meta.attrs = {}  # not every writer takes what may lie in there
    return meta.rename(columns=lambda column: METADATA.get(column, f"{PREFIX}{column}"))


def _is_theirs(meta: pd.DataFrame) -> bool:
    return any(str(name).startswith(PREFIX) for name in meta)


def make_anndata(meta: pd.DataFrame, feats: np.ndarray, var: pd.DataFrame) -> AnnData:
    """Make an AnnData of annotations under our names and features that `var` describes."""
    from anndata import AnnData

    obs = theirs(meta)
    # Its files hold text as plain Python strings or as categories of them, not in the newer type of pandas.
    for column in obs.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in obs.dtypes]]:
        kinds = pd.Index(sorted(obs[column].dropna().unique()), dtype=object)
        obs[column] = pd.Categorical(obs[column], categories=kinds)
    obs.index = pd.Index([str(row) for row in range(len(obs))], dtype=object)
    return AnnData(feats, obs=obs, var=var)


def checked(meta: pd.DataFrame, feats: Features, columns: Sequence[str] = ()) -> np.ndarray:
    """Return `feats` as a float array, or say what is wrong with the pair.

    Raises
    ------
    ValueError
        If the rows do not match, `meta` lacks one of `columns`, or a feature is not a finite number.
    """
    feats = np.asarray(feats)
    if feats.ndim != 2 or len(meta) != len(feats):
        raise ValueError(f"meta has {len(meta)} rows, feats the shape {feats.shape}; expected (rows, features)")
    if missing := [column for column in columns if column not in meta]:
        raise ValueError(f"meta lacks the column(s) {', '.join(missing)}; it has {', '.join(map(str, meta))}")
    if not np.issubdtype(feats.dtype, np.floating):
        feats = feats.astype(np.float32)
    for start in range(0, len(feats), _BLOCK_ROWS):
        block = feats[start : start + _BLOCK_ROWS]
        with np.errstate(invalid="ignore", over="ignore"):
            suspect = not np.isfinite(block.sum())  # a quick look that never misses
        if suspect and not (finite := np.isfinite(block)).all():
            row, column = np.argwhere(~finite)[0]
            raise ValueError(
                f"feats[{start + row}, {column}] is {feats[start + row, column]}; expected finite "
                "numbers: drop the feature or the row"
            )
    return feats
