"""Published files: found where the reader keeps them, else fetched; never trusted without their checksum."""

import functools
import hashlib
import http.server
import threading

import pytest

from cellclr_lib.data import download
from cellclr_lib.pipeline import cache

CONTENT = b"compound,moa\nsimulated,none\n" * 100


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A local server that stands for the publishers; yields the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(download, "PUBLISHED", {"table.csv": (address, hashlib.md5(CONTENT).hexdigest())})
        yield folder
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_downloaded_once_then_taken_from_the_folder(server, tmp_path):
    (server / "table.csv").write_bytes(CONTENT)
    path = download.fetch("table.csv", tmp_path / "cache")
    assert path.read_bytes() == CONTENT
    (server / "table.csv").unlink()
    assert download.fetch("table.csv", tmp_path / "cache") == path


def test_a_place_of_the_reader_comes_first(server, tmp_path):
    place = tmp_path / "mine"
    place.mkdir()
    (place / "table.csv").write_bytes(CONTENT)
    places = [tmp_path / "none", place]
    assert download.fetch("table.csv", tmp_path / "cache", places=places) == place / "table.csv"
    assert not (tmp_path / "cache").exists()


def test_wrong_bytes_are_refused_and_not_kept(server, tmp_path):
    (server / "table.csv").write_bytes(CONTENT[:-10])
    with pytest.raises(ValueError, match="table.csv did not arrive whole"):
        download.fetch("table.csv", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


def test_a_wrong_file_of_the_reader_is_named(server, tmp_path):
    (tmp_path / "table.csv").write_bytes(b"other")
    with pytest.raises(ValueError, match=str(tmp_path / "table.csv")):
        download.fetch("table.csv", tmp_path / "cache", places=[tmp_path])


def test_absent_everywhere_names_address_and_folders(server, tmp_path):
    with pytest.raises(FileNotFoundError, match="http://127.0.0.1.*table.csv by hand") as caught:
        download.fetch("table.csv", tmp_path / "cache", places=[tmp_path / "mine"])
    assert str(tmp_path / "mine") in str(caught.value)


def test_without_a_network(monkeypatch, tmp_path):
    monkeypatch.setattr(download, "PUBLISHED", {"table.csv": ("http://127.0.0.1:9/", "0" * 32)})
    with pytest.raises(FileNotFoundError, match="cannot be downloaded"):
        download.fetch("table.csv", tmp_path)


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="BBBC021_v1_moa.csv"):
        download.fetch("BBBC021_v1_mao.csv", tmp_path)


def test_the_cache_looks_where_real_data_is_kept(server, monkeypatch, tmp_path):
    (tmp_path / "bbbc021").mkdir()
    (tmp_path / "bbbc021/table.csv").write_bytes(CONTENT)
    monkeypatch.setenv("CELLCLR_DATA", str(tmp_path))
    assert cache.published("table.csv") == tmp_path / "bbbc021/table.csv"


@pytest.mark.real
@pytest.mark.parametrize("name", download.PUBLISHED)
def test_the_real_files_have_the_published_checksums(real_bbbc021, tmp_path, name):
    assert download.fetch(name, tmp_path, places=[real_bbbc021]) == real_bbbc021 / name
