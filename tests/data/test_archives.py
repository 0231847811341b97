"""Plate archives from a local server that cuts connections, sends wrong bytes and may ignore ranges."""

import http.server
import io
import json
import random
import threading
import zipfile
from pathlib import Path

import pytest

from cellclr_lib.cli import main
from cellclr_lib.data import archives

PLATES = ["Week1_11111", "Week1_22222"]


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `files`; what the class attributes ask for goes wrong, as often as they say."""

    files, log, cuts, wrong, ranges, stamps = {}, [], 0, 0, True, True

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, body):
        name = self.path.lstrip("/")
        if name not in self.files:
            return self.send_error(404)
        content, start = self.files[name], 0
        asked = self.headers.get("Range")
        if body:
            self.log.append((name, asked))
        same = self.headers.get("If-Range") == self._stamp(content)
        if asked and type(self).ranges and same:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if type(self).stamps:
            self.send_header("ETag", self._stamp(content))
        self.end_headers()
        if not body:
            return None
        content = content[start:]
        if type(self).wrong:
            type(self).wrong -= 1
            content = content[:-50] + bytes(50)
        if type(self).cuts:
            type(self).cuts -= 1
            content = content[: len(content) // 2]
        self.wfile.write(content)
        return None

    @staticmethod
    def _stamp(content):
        return f'"{hash(content)}"'

    def log_message(self, *args):
        pass


PIXELS = random.Random(0).randbytes(300_000)


def archive(plate, pixels=PIXELS, **more):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as contents:
        contents.writestr(f"{plate}/a.tif", pixels)
        for name, content in more.items():
            contents.writestr(name, content)
    return out.getvalue()


@pytest.fixture
def server(monkeypatch):
    """(handler class to set, address)."""
    served = type("Served", (Handler,), {"files": {}, "log": []})
    monkeypatch.setattr(archives, "PAUSE_S", 0.01)
    for plate in PLATES:
        served.files[f"BBBC021_v1_images_{plate}.zip"] = archive(plate)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), served) as http_server:
        threading.Thread(target=http_server.serve_forever, daemon=True).start()
        yield served, f"http://127.0.0.1:{http_server.server_port}"
        http_server.shutdown()


def pixels_of(root, plate):
    return (root / plate / "a.tif").read_bytes()


def test_plates_arrive_once(server, tmp_path):
    served, address = server
    assert archives.download_plates(tmp_path, PLATES, base=address) == PLATES
    assert all(pixels_of(tmp_path, plate) == PIXELS for plate in PLATES)
    assert archives.download_plates(tmp_path, PLATES, base=address) == [] and len(served.log) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [*PLATES, "checksums.json"]


def test_a_cut_connection_goes_on_where_it_stopped(server, tmp_path):
    served, address = server
    served.cuts = 2
    archives.download_plates(tmp_path, PLATES[:1], base=address)
    starts = [asked for _, asked in served.log]
    assert len(starts) == 3 and starts[0] is None
    sizes = [int(asked.removeprefix("bytes=").rstrip("-")) for asked in starts[1:]]
    assert sizes == sorted(set(sizes)) and sizes[0] > 0
    assert pixels_of(tmp_path, PLATES[0]) == PIXELS


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    served, address = server
    served.cuts, served.ranges = 2, False
    archives.download_plates(tmp_path, PLATES[:1], base=address)
    assert pixels_of(tmp_path, PLATES[0]) == PIXELS


def test_a_file_that_changed_in_between_is_not_patched_together(server, tmp_path):
    served, address = server
    name = f"BBBC021_v1_images_{PLATES[0]}.zip"
    (tmp_path / "archives").mkdir()
    part = tmp_path / "archives" / f"{name}.part"
    part.write_bytes(b"half of another version")
    part.with_name(part.name + ".version").write_text('"another"')
    archives.download_plates(tmp_path, PLATES[:1], base=address)
    assert served.log == [(name, f"bytes={len(b'half of another version')}-")]
    assert pixels_of(tmp_path, PLATES[0]) == PIXELS


def test_killed_between_the_last_byte_and_the_new_name(server, tmp_path):
    served, address = server
    name = f"BBBC021_v1_images_{PLATES[0]}.zip"
    (tmp_path / "archives").mkdir()
    part = tmp_path / "archives" / f"{name}.part"
    part.write_bytes(served.files[name])
    part.with_name(part.name + ".version").write_text(served._stamp(served.files[name]))
    archives.download_plates(tmp_path, PLATES[:1], base=address)
    assert pixels_of(tmp_path, PLATES[0]) == PIXELS


def test_wrong_bytes_are_fetched_again_then_refused(server, tmp_path):
    served, address = server
    served.wrong = 1
    archives.download_plates(tmp_path, PLATES[:1], base=address)
    assert pixels_of(tmp_path, PLATES[0]) == PIXELS and len(served.log) == 2
    served.wrong = 9
    with pytest.raises(ValueError, match=f"{PLATES[1]}.zip is broken.*fetched twice from {address}"):
        archives.download_plates(tmp_path, PLATES[1:], base=address)
    assert not (tmp_path / PLATES[1]).exists() and not list((tmp_path / "archives").iterdir())


def test_an_altered_archive_is_refused_ever_after(server, tmp_path):
    served, address = server
    archives.download_plates(tmp_path, PLATES[:1], base=address)
    known = json.loads((tmp_path / "checksums.json").read_text())
    assert list(known) == [f"BBBC021_v1_images_{PLATES[0]}.zip"]
    (tmp_path / PLATES[0] / "a.tif").unlink()
    (tmp_path / PLATES[0]).rmdir()
    served.files[f"BBBC021_v1_images_{PLATES[0]}.zip"] = archive(PLATES[0], PIXELS[::-1])
    with pytest.raises(ValueError, match="not the file that came the first time"):
        archives.download_plates(tmp_path, PLATES[:1], base=address)
    assert not (tmp_path / PLATES[0]).exists()


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "Other/evil.txt", "..\\evil.txt"])
def test_no_path_escapes(tmp_path, name):
    path = tmp_path / "a.zip"
    path.write_bytes(archive(PLATES[0], **{name: "x"}))
    with pytest.raises(ValueError, match="would be written outside"):
        archives.unpack(path, tmp_path / "root", PLATES[0])
    assert [p.name for p in tmp_path.rglob("*")] == ["a.zip"]


def test_no_link_is_unpacked(tmp_path):
    path = tmp_path / "a.zip"
    link = zipfile.ZipInfo(f"{PLATES[0]}/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as contents:
        contents.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="would be written outside"):
        archives.unpack(path, tmp_path, PLATES[0])


def test_a_full_disk_is_said_before_the_first_byte(server, tmp_path, monkeypatch):
    served, address = server
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda path: archives.shutil._ntuple_diskusage(9, 9, 0))
    with pytest.raises(OSError, match=r"2 plates need about .* GB in .*, and 0\.0 GB are free"):
        archives.download_plates(tmp_path, PLATES, base=address)
    assert not served.log


def test_what_cannot_be_had_keeps_what_came(server, tmp_path):
    served, address = server
    served.cuts = 10**9
    served.ranges = False
    with pytest.raises(FileNotFoundError, match="what has come is kept, the same command resumes"):
        archives.download_plates(tmp_path, PLATES, base=address)
    assert list((tmp_path / "archives").glob("*.part"))
    served.cuts, served.ranges = 0, True
    archives.download_plates(tmp_path, PLATES, base=address)
    assert pixels_of(tmp_path, PLATES[1]) == PIXELS


def test_an_unknown_archive_names_its_address(server, tmp_path):
    with pytest.raises(FileNotFoundError, match="BBBC021_v1_images_Week9_0.zip"):
        archives.download_plates(tmp_path, ["Week9_0"], base=server[1])


@pytest.mark.real
def test_the_real_tables_and_a_real_archive_by_the_command(server, tmp_path, real_bbbc021, capsys):
    served, address = server
    for name in ("BBBC021_v1_image.csv", "BBBC021_v1_moa.csv", "BBBC021_v1_images_Week2_24381.zip"):
        served.files[name] = (real_bbbc021 / name).read_bytes()
    root = tmp_path / "screen"
    assert main(["download", str(root), "--mirror", address]) == 0
    assert "plates come with" in capsys.readouterr().out
    served.cuts = 2
    assert main(["download", str(root), "--mirror", address, "--plates", "Week2_24381", "--keep"]) == 0
    assert len(list((root / "Week2_24381").glob("*.tif"))) == 8
    assert (root / "archives" / "BBBC021_v1_images_Week2_24381.zip").is_file()
    assert main(["download", str(root), "--mirror", address, "--plates", "Week2_99"]) == 1
    assert "no plate Week2_99" in capsys.readouterr().err


@pytest.mark.real
def test_annotated_plates(real_screen):
    plates = archives.annotated_plates(real_screen)
    fields = real_screen.fields
    assert 0 < len(plates) < 55 and set(plates) <= set(fields["plate"])
    assert not (fields.loc[~fields["plate"].isin(plates), "role"] == "treatment").any()


def test_the_server_is_gone(tmp_path):
    with pytest.raises(FileNotFoundError, match="cannot be reached"):
        archives.download_plates(Path(tmp_path), PLATES, base="http://127.0.0.1:9")
