"""Choose the cell that the second view shows: the cell itself, or one that was treated alike.

In SimCLR both views show one cell. Two cells of a well, or of a treatment on different plates, train the encoder
to ignore what differs between individuals, or between plates as well. They use the plate map and no mechanism of
action. Explained in chapter 9, *the real screen*.
"""

import numpy as np
import pandas as pd
import torch

COLUMNS: dict[str, list[str]] = {
    "cell": [],
    "well": ["plate", "well"],
    "treatment": ["compound", "concentration_um", "plate"],
}
KINDS = tuple(COLUMNS)


class PositiveSampler:
    """Draw a partner for each cell of a store.

    Parameters
    ----------
    table : pandas.DataFrame
        The store's table, N rows; ``plate well`` for "well", ``plate compound concentration_um`` for "treatment".
    kind : {"cell", "well", "treatment"}
        "cell": the cell itself. "well": another cell of its well. "treatment": a cell of its treatment on another
        plate, DMSO included. A cell that has none is its own partner.

    Attributes
    ----------
    groups : Tensor, shape (N,), int64
        What a cell may be paired within: a number of its own, of its well, or of its treatment on any plate.

    Raises
    ------
    ValueError
        If the table lacks a column; names it.

    Examples
    --------
    >>> table = pd.DataFrame({"plate": "p", "well": ["A01", "A01", "A02"]})
    >>> sampler = PositiveSampler(table, "well")
    >>> sampler.draw(torch.tensor([0, 1, 2]), torch.Generator().manual_seed(0)).tolist()
    [1, 0, 2]
    """

    def __init__(self, table: pd.DataFrame, kind: str) -> None:
        columns = COLUMNS[kind]
        if missing := [name for name in columns if name not in table]:
            raise ValueError(f"pairs of a {kind} need the columns {', '.join(missing)} in the store's table")
        self.kind, self.groups = kind, torch.arange(len(table))
        if kind == "cell":
            return
        group = table.groupby(columns[:2], sort=False, dropna=False).ngroup().to_numpy()
        self.groups = torch.tensor(group)
        # Groups in one piece, and in them the plates (or, of a well, the cell) that are not admissible.
        inner = pd.factorize(table["plate"])[0] if kind == "treatment" else np.arange(len(table))
        self.order = np.lexsort((inner, group))
        place = np.argsort(self.order)
        self.group = _runs(group[self.order])[place]  # (N, 2) first and end of a cell's group in `order`
        self.own = _runs(group[self.order], inner[self.order])[place]

    def draw(self, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw a partner for each of some rows.

        Parameters
        ----------
        rows : Tensor, shape (n,), int64
            Of the table, from 0.
        generator : torch.Generator
            On the CPU.

        Returns
        -------
        Tensor, shape (n,), int64
        """
        if self.kind == "cell":
            return rows
        (first, end), (own, own_end) = self.group[rows].T, self.own[rows].T
        others = (end - first) - (own_end - own)
        chance = torch.rand(len(rows), generator=generator, dtype=torch.float64).numpy()
        place = first + (chance * others).astype(int)
        place += np.where(place >= own, own_end - own, 0)  # step over what is not admissible
        partner = self.order[np.minimum(place, len(self.order) - 1)]
        return torch.from_numpy(np.where(others > 0, partner, rows.numpy()))


def _runs(*keys: np.ndarray) -> np.ndarray:
    """Find first and end (N, 2) of the run of equal keys that each place of sorted arrays lies in."""
    new = np.ones(len(keys[0]), bool)
    new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    first = np.flatnonzero(new)
    end = np.append(first[1:], len(new))
    return np.stack([first, end], axis=1)[np.cumsum(new) - 1]
