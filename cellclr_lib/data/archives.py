"""Fetch the plate archives of the real screen: resumable, checked, unpacked within their folder.

No checksums are published for the archives. So the SHA-256 of each is recorded when it first arrives whole, in
``checksums.json`` beside the plates, and an archive that arrives later must have the same. Explained in chapter 9,
*the real screen*.
"""

import hashlib
import json
import logging
import shutil
import stat
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import requests
from tqdm import tqdm

from cellclr_lib import atomic
from cellclr_lib.data.download import BBBC021, TIMEOUT_S, fetch
from cellclr_lib.data.screen import IMAGE_TABLE, MOA_TABLE, Screen

log = logging.getLogger(__name__)

CHECKSUMS = "checksums.json"
ARCHIVE_BYTES = 840e6  # of a plate, where a server does not say
UNPACKED = 2.5  # bytes on disk for each byte of an archive: the images are 12 bits of 16
TRIES = 5  # in a row that bring nothing, before a download is given up
PAUSE_S = 2.0  # before the second try, doubled with each further one
BLOCK = 2**16  # bytes read at a time; a cut connection loses fewer than that


def download_tables(root: str | Path, *, base: str = BBBC021) -> Screen:
    """Fetch the two tables of BBBC021 into the folder `root` and open them as a `Screen`.

    Parameters
    ----------
    root : path-like
        Made if need be.
    base : str
        Address of the folder that holds the files.

    Raises
    ------
    As `cellclr_lib.data.download.fetch`.
    """
    for name in (IMAGE_TABLE, MOA_TABLE):
        fetch(name, root, places=[root], base=base)
    return Screen(root)


def annotated_plates(screen: Screen) -> list[str]:
    """List the plates with at least one well of an annotated treatment, in the order of the tables."""
    return list(screen.fields.loc[screen.fields["role"] == "treatment", "plate"].unique())


def download_plates(
    root: str | Path, plates: Sequence[str], *, base: str = BBBC021, keep: bool = False
) -> list[str]:
    """Fetch and unpack the archives of some plates; what is there already is passed over.

    Parameters
    ----------
    root : path-like
        Folder of the screen; each plate gets a folder of its name in it.
    plates : sequence of str
    base : str
        Address of the folder that holds the archives ``BBBC021_v1_images_<plate>.zip``.
    keep : bool
        Keep the archives, in ``<root>/archives``.

    Returns
    -------
    list of str
        The plates that were fetched.

    Raises
    ------
    OSError
        If the disk has too little space for them; says how much is needed. Nothing has been fetched then.
    FileNotFoundError
        If an archive cannot be had; names its address. The plates before it are there, and part of it may be:
        the same call resumes.
    ValueError
        If an archive is broken, tries to write outside its folder, or is not the one that came the first time,
        and a second download is no better.
    """
    root = Path(root)
    missing = [plate for plate in plates if not (root / plate).is_dir()]
    addresses = {plate: f"{base.rstrip('/')}/BBBC021_v1_images_{plate}.zip" for plate in missing}
    sizes = {plate: _size(address) for plate, address in addresses.items()}
    parts = {plate: root / "archives" / Path(address).name for plate, address in addresses.items()}
    _check_room(root, parts, sizes, keep)
    there = sum(_length(_partial(path)) for path in parts.values())
    with tqdm(
        total=sum(sizes.values()), initial=there, desc=f"all {len(missing)} plates", unit="B", unit_scale=True
    ) as bar:
        for plate in missing:
            _fetch_plate(root, plate, addresses[plate], parts[plate], bar)
            if not keep:
                parts[plate].unlink()
    if not keep and (root / "archives").is_dir() and not any((root / "archives").iterdir()):
        (root / "archives").rmdir()
    return missing


def unpack(archive: Path, root: str | Path, plate: str) -> None:
    """Unpack the archive of a plate into ``<root>/<plate>``, in one step.

    Raises
    ------
    ValueError
        If the archive is broken or holds anything but files in the folder of its plate; nothing is left then.
    """
    try:
        with zipfile.ZipFile(archive) as contents:
            for member in contents.infolist():
                _check_member(member, plate, archive)
            if not any(member.filename.startswith(f"{plate}/") for member in contents.infolist()):
                raise ValueError(f"{archive} holds no folder {plate}")
            Path(root).mkdir(parents=True, exist_ok=True)
            with atomic.new_folder(Path(root) / plate) as part:
                contents.extractall(part)  # checks the CRC of every file
                for file in (part / plate).iterdir():
                    file.rename(part / file.name)
                (part / plate).rmdir()
    except (zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        if isinstance(error, OSError) and not isinstance(error, zipfile.BadZipFile) and error.errno:
            raise  # the disk's fault, not the archive's
        raise ValueError(f"{archive} is broken: {error}") from error


def _fetch_plate(root: Path, plate: str, address: str, archive: Path, bar: tqdm) -> None:
    for last in (False, True):
        if not archive.exists():
            _stream(address, archive, plate, bar)
        try:
            _check_known(root, archive)
            unpack(archive, root, plate)
        except ValueError as error:
            bar.update(-_length(archive))
            archive.unlink()
            if last:
                raise ValueError(f"{error}; it was fetched twice from {address}") from error
            log.warning("%s; fetching it again", error)
        else:
            _remember(root, archive)
            return


def _stream(address: str, archive: Path, plate: str, bar: tqdm) -> None:
    """Download to ``<archive>.part``, from where an earlier try stopped, then rename."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    part, tries, total = _partial(archive), 0, None
    with tqdm(desc=plate, unit="B", unit_scale=True, leave=False) as own:
        while total is None or _length(part) < total:
            before = _length(part)
            try:
                total = _continue(address, part, own, bar)
            except (requests.RequestException, OSError) as error:
                answer = getattr(error, "response", None)
                gone = answer is not None and answer.status_code in (401, 403, 404, 410)
                tries = 0 if _length(part) > before else tries + 1
                if gone or tries == TRIES:
                    raise FileNotFoundError(
                        f"{address} cannot be downloaded ({error}); "
                        "what has come is kept, the same command resumes"
                    ) from error
                time.sleep(PAUSE_S * 2**tries if tries else 0)
    part.rename(archive)
    _stamp(part).unlink(missing_ok=True)


def _continue(address: str, part: Path, own: tqdm, bar: tqdm) -> int:
    """Request what is missing of `part`; return the size of the whole."""
    have, stamp = _length(part), _stamp(part)
    headers = {"Accept-Encoding": "identity"}
    if have and stamp.exists():  # the rest, if the file is still the same one; else all of it
        headers |= {"Range": f"bytes={have}-", "If-Range": stamp.read_text()}
    with requests.get(address, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
        if answer.status_code == 416:  # nothing is missing: killed between the last byte and the new name
            return have
        answer.raise_for_status()
        if answer.status_code != 206:
            bar.update(-have)
            have = 0
        length = answer.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        version = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
        if version and not version.startswith("W/"):
            stamp.write_text(version)
        own.reset(total)
        own.update(have)
        with part.open("ab" if have else "wb") as file:
            for block in answer.iter_content(BLOCK):
                file.write(block)
                own.update(len(block))
                bar.update(len(block))
    return total or _length(part)


def _size(address: str) -> int:
    """Return the bytes of a file, as its server says; a guess where it does not."""
    try:
        answer = requests.head(
            address, allow_redirects=True, timeout=TIMEOUT_S, headers={"Accept-Encoding": "identity"}
        )
        answer.raise_for_status()
    except requests.RequestException as error:
        raise FileNotFoundError(
            f"{address} cannot be reached ({error}); look at the address and the network"
        ) from error
    return int(answer.headers.get("Content-Length", ARCHIVE_BYTES))


def _check_room(root: Path, archives: dict[str, Path], sizes: dict[str, int], keep: bool) -> None:
    if not sizes:
        return
    there = {plate: _length(path) + _length(_partial(path)) for plate, path in archives.items()}
    to_come = {plate: max(0, size - there[plate]) for plate, size in sizes.items()}
    needed = UNPACKED * sum(sizes.values()) + (sum(to_come.values()) if keep else max(to_come.values()))
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if free < needed:
        raise OSError(
            f"{len(sizes)} plates need about {needed / 1e9:.1f} GB in {root}, and {free / 1e9:.1f} GB are free; "
            "make room, take another folder, or fewer --plates"
        )


def _check_member(member: zipfile.ZipInfo, plate: str, archive: Path) -> None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    outside = path.is_absolute() or ".." in path.parts or not path.parts or path.parts[0] != plate
    if outside or stat.S_ISLNK(member.external_attr >> 16):
        raise ValueError(f"{member.filename!r} would be written outside the folder {plate}")


def _checksums(root: Path) -> dict[str, str]:
    path = Path(root) / CHECKSUMS
    return json.loads(path.read_text()) if path.exists() else {}


def _check_known(root: Path, archive: Path) -> None:
    known = _checksums(root).get(archive.name)
    if known and _sha256(archive) != known:
        raise ValueError(f"{archive} is not the file that came the first time (its SHA-256 is not {known})")


def _remember(root: Path, archive: Path) -> None:
    known = _checksums(root)
    if archive.name not in known:
        known[archive.name] = _sha256(archive)
        atomic.write_text(Path(root) / CHECKSUMS, json.dumps(known, indent=1, sort_keys=True) + "\n")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _partial(archive: Path) -> Path:
    return archive.with_name(archive.name + ".part")


def _stamp(part: Path) -> Path:
    """Name the file with the server's name for this version of an archive, while it is on its way."""
    return part.with_name(part.name + ".version")


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
