"""What is written is there whole or not at all, also when a writer is killed or another one writes the same."""

import subprocess
import sys
import threading

import pytest

from cellclr_lib import atomic


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "scores.csv"
    atomic.write_text(path, "old")
    with atomic.new_file(path) as part:
        part.write_text("new")
        assert path.read_text() == "old" and part.suffix == ".csv" and part.parent == tmp_path
    assert path.read_text() == "new" and names(tmp_path) == ["scores.csv"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "scores.csv"
    atomic.write_text(path, "old")
    with pytest.raises(ZeroDivisionError), atomic.new_file(path) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and names(tmp_path) == ["scores.csv"]


def test_a_name_with_dots_keeps_its_own_parts(tmp_path):
    for name in ("2024.03.04", "2024.03.05", "plate"):
        atomic.write_text(tmp_path / name, name)
    assert names(tmp_path) == ["2024.03.04", "2024.03.05", "plate"]
    assert all((tmp_path / name).read_text() == name for name in names(tmp_path))


def test_a_folder_comes_whole_or_not_at_all(tmp_path):
    with atomic.new_folder(tmp_path / "plate") as part:
        (part / "a.tif").write_text("a")
        assert not (tmp_path / "plate").exists()
    assert names(tmp_path) == ["plate"] and names(tmp_path / "plate") == ["a.tif"]
    with pytest.raises(ZeroDivisionError), atomic.new_folder(tmp_path / "other") as part:
        (part / "a.tif").write_text("a")
        raise ZeroDivisionError
    assert names(tmp_path) == ["plate"]
    with pytest.raises(OSError, match="plate"), atomic.new_folder(tmp_path / "plate") as part:
        (part / "b.tif").write_text("b")
    assert names(tmp_path) == ["plate"] and names(tmp_path / "plate") == ["a.tif"]


def test_a_killed_writer_leaves_the_old_file_and_a_part_that_can_be_removed(tmp_path):
    path = tmp_path / "scores.csv"
    atomic.write_text(path, "old")
    code = (
        "import os, signal; from cellclr_lib import atomic\n"
        f"with atomic.new_file({str(path)!r}) as part:\n"
        "    part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert path.read_text() == "old" and len(names(tmp_path)) == 2
    atomic.remove_parts(tmp_path)
    assert names(tmp_path) == ["scores.csv"]


def test_two_writers_do_not_disturb_each_other(tmp_path):
    path, begun = tmp_path / "scores.csv", threading.Barrier(2, timeout=300)

    def write(text):
        with atomic.new_file(path) as part:
            part.write_text(text[: len(text) // 2])
            begun.wait()
            part.write_text(text)

    texts = ["a" * 100_000, "b" * 100_000]
    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts and names(tmp_path) == ["scores.csv"]
