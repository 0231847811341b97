"""Fetch published files of the real screen, each checked against its known checksum.

The files are downloaded from where their authors published them and never redistributed. Explained in chapter 9,
*the real screen*.
"""

from collections.abc import Sequence
from pathlib import Path

import pooch
import requests

BBBC021 = "https://data.broadinstitute.org/bbbc/BBBC021/"
GALLERY = "https://github.com/cytomining/cytominergallery/raw/master/inst/extdata/"

# Name -> address and MD5.
PUBLISHED = {
    "BBBC021_v1_image.csv": (BBBC021, "0164cb39dce92891aab47b418247a560"),
    "BBBC021_v1_moa.csv": (BBBC021, "f200e1afd91a9bab845d6021b44e8298"),
    "ljosa_jbiomolscreen_2013_per_well_mean.csv.gz": (GALLERY, "ab9b5d9e028e8c88ef3de31ceb018b5d"),
}
TIMEOUT_S = 20  # without an answer for so long the network counts as absent


def fetch(name: str, folder: str | Path, *, places: Sequence[str | Path] = (), base: str | None = None) -> Path:
    """Find a published file in one of `places`, else in `folder`, else download it into `folder`.

    Parameters
    ----------
    name : str
        One of `PUBLISHED`: the two tables of BBBC021 and the per-well profiles of Ljosa et al. 2013.
    folder : path-like
        Where downloads are kept; made if need be.
    places : sequence of path-like
        Folders to look into first.
    base : str, optional
        Address of the folder that holds the file, in place of the published one.

    Returns
    -------
    pathlib.Path
        Path of a file whose checksum is the published one.

    Raises
    ------
    ValueError
        If the name is unknown, or a file of that name has other contents; names the file.
    FileNotFoundError
        If the file is in none of the folders and cannot be downloaded; names the address.
    """
    if name not in PUBLISHED:
        raise ValueError(f"no published file is called {name!r}: there are {', '.join(PUBLISHED)}")
    address, md5 = PUBLISHED[name]
    address = f"{base.rstrip('/')}/" if base else address
    for place in places:
        path = Path(place) / name
        if path.is_file():
            if pooch.file_hash(path, "md5") != md5:
                raise ValueError(
                    f"{path} is not the published file (its MD5 is not {md5}); delete it or fetch it again"
                )
            return path
    downloader = pooch.HTTPDownloader(timeout=TIMEOUT_S, progressbar=True)
    try:
        return Path(pooch.retrieve(address + name, f"md5:{md5}", name, Path(folder), downloader=downloader))
    except ValueError as error:  # pooch deletes what it downloaded
        raise ValueError(f"{address}{name} did not arrive whole or has changed: {error}") from error
    except (requests.RequestException, OSError) as error:
        raise FileNotFoundError(
            f"{name} is not in {', '.join(str(p) for p in (*places, folder))} and cannot be downloaded ({error}); "
            f"fetch {address}{name} by hand and put it into one of these folders"
        ) from error
