"""Repeat the paper's arithmetic from its description: what its published code spends time on."""

import torch
from torch.nn.functional import cosine_similarity, cross_entropy


def nt_xent(z1, z2, temperature):
    """NT-Xent by way of a (2N, 2N, D) tensor: every pair of views is multiplied out and summed over D.

    Parameters
    ----------
    z1, z2 : Tensor, shape (N, D)
    temperature : float

    Returns
    -------
    Tensor, scalar
    """
    n = len(z1)
    z = torch.cat([z1, z2])
    similarity = cosine_similarity(z[:, None], z[None], dim=-1) / temperature
    positive = torch.cat([similarity.diagonal(n), similarity.diagonal(-n)])[:, None]
    row = torch.arange(2 * n)
    others = (row[:, None] != row) & ((row[:, None] + n) % (2 * n) != row)
    logits = torch.cat([positive, similarity[others].view(2 * n, -1)], dim=1)
    return cross_entropy(logits, torch.zeros(2 * n, dtype=torch.long))


def mean_of_wells(table, features):
    """Mean of each well, row by row: {(plate, well): (D,) array}.

    Parameters
    ----------
    table : DataFrame
        One row per cell: ``plate``, ``well``, further metadata, and in the last `features` columns its features.
    features : int
    """
    total, count = {}, {}
    for _, cell in table.iterrows():
        well = cell["plate"], cell["well"]
        values = cell.iloc[-features:].to_numpy(dtype=float)
        total[well] = total[well] + values if well in total else values
        count[well] = count.get(well, 0) + 1
    return {well: total[well] / count[well] for well in total}


def nearest_moa(table, feats, other_batch):
    """Share of treatments whose nearest admissible one has their mechanism, pair by pair.

    Parameters
    ----------
    table : DataFrame
        One row per treatment: ``compound moa batch``; ``batch`` is a tuple of weeks.
    feats : (n, D) array
    other_batch : bool
        Whether the neighbour must share no week (NSCB) or only be another compound (NSC).
    """
    from scipy.spatial.distance import cosine

    # A mechanism all of whose treatments share one week cannot be asked for in another week.
    weeks = table.groupby("moa")["batch"].agg(lambda sets: set.intersection(*map(set, sets)))
    correct = asked = 0
    for i, query in table.iterrows():
        best, nearest = float("inf"), None
        for j, other in table.iterrows():
            if other["compound"] == query["compound"]:
                continue
            if other_batch and (set(other["batch"]) & set(query["batch"]) or weeks[other["moa"]]):
                continue
            distance = cosine(feats[i], feats[j])
            if distance < best:
                best, nearest = distance, other
        if nearest is not None and not (other_batch and weeks[query["moa"]]):
            asked += 1
            correct += nearest["moa"] == query["moa"]
    return correct / asked
