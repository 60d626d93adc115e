"""Downloads against a web server on this machine: mirrors, checksums, the cache."""

import gzip
import hashlib
import io
import socket
import sys

import pytest

from minigen.data import download as module
from minigen.data.download import cache_folder, download, find_or_download, own_folders
from minigen.errors import UserError

CONTENT = b"what was published" * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()


def refusal(urls, target, md5=MD5):
    with pytest.raises(UserError) as caught:
        download(urls, target, md5)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def mirror(tmp_path, serve):
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "file.gz").write_bytes(gzip.compress(CONTENT))
    (folder / "wrong.gz").write_bytes(gzip.compress(b"something else"))
    (folder / "cut.gz").write_bytes(gzip.compress(CONTENT)[:50])
    return serve(folder)


def test_the_second_mirror_serves_when_the_first_does_not_have_the_file(tmp_path, mirror):
    address, asked = mirror
    target = tmp_path / "deep" / "cache" / "file.gz"
    download([f"{address}absent.gz", f"{address}file.gz"], target, MD5)
    assert gzip.decompress(target.read_bytes()) == CONTENT
    assert "/absent.gz" in asked


@pytest.mark.parametrize("bad", ["wrong.gz", "cut.gz"])
def test_a_mirror_with_other_content_is_passed_over_for_the_next(tmp_path, mirror, bad):
    address, _ = mirror
    target = tmp_path / "file.gz"
    download([f"{address}{bad}", f"{address}file.gz"], target, MD5)
    assert gzip.decompress(target.read_bytes()) == CONTENT


def test_the_same_content_compressed_otherwise_or_not_at_all_has_the_right_checksum(
    tmp_path, serve
):
    (tmp_path / "plain").write_bytes(CONTENT)
    (tmp_path / "fast.gz").write_bytes(gzip.compress(CONTENT, 1))
    address, _ = serve(tmp_path)
    for name in ("plain", "fast.gz"):
        download([f"{address}{name}"], tmp_path / "got" / name, MD5)


def test_when_all_mirrors_fail_one_line_tells_why_for_each_and_nothing_is_left(tmp_path, mirror):
    address, _ = mirror
    target = tmp_path / "cache" / "file.gz"
    closed = "http://127.0.0.1:9/file.gz"
    names = ("absent.gz", "wrong.gz", "cut.gz")
    message = refusal([*(address + name for name in names), closed], target)
    assert "absent.gz (HTTP status 404)" in message
    assert f"expected {MD5}" in message
    assert "cut.gz (damaged gzip file)" in message
    assert f"{closed} (ConnectionError)" in message
    assert list(target.parent.iterdir()) == []


def test_a_mirror_that_stays_silent_is_given_up_after_the_timeout(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file.gz"
        assert "Timeout" in refusal([url], tmp_path / "file.gz")


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "occupied").write_text("a file, not a folder")
    message = refusal(["http://127.0.0.1:9/x"], tmp_path / "occupied" / "file.gz")
    assert f"cache folder {tmp_path / 'occupied'} must be a writable folder" in message
    assert "MINIGEN_CACHE" in message


def test_a_terminal_sees_a_progress_bar_and_a_log_file_does_not(tmp_path, mirror, monkeypatch):
    address, _ = mirror

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, expected in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        download([f"{address}file.gz"], tmp_path / "file.gz", MD5)
        assert ("file.gz" in stream.getvalue()) is expected


def test_the_cache_folder_is_minigen_cache_or_the_systems(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGEN_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("MINIGEN_CACHE")
    assert cache_folder().name == "minigen"


def test_a_file_is_looked_for_in_the_users_folders_then_in_the_cache_then_fetched_once(
    tmp_path, mirror
):
    address, asked = mirror
    own = tmp_path / "own"
    (own / "sub").mkdir(parents=True)

    def find(data_dir):
        return find_or_download("set", "file.gz", "sub", data_dir, [f"{address}file.gz"], MD5)

    cached = cache_folder() / "sub" / "file.gz"
    assert [find(own), find(own), find(None)] == [cached] * 3
    assert len(asked) == 1
    for place in (own / "sub" / "file.gz", own / "file.gz"):
        place.write_bytes(b"unread, unchecked: the user's own")
        assert find(own) == place


def test_a_file_that_is_nowhere_is_one_line_with_all_places(tmp_path, mirror, monkeypatch):
    monkeypatch.setenv("MINIGEN_DATA", str(tmp_path))
    with pytest.raises(UserError) as caught:
        find_or_download("set", "file", "sub", None, [f"{mirror[0]}absent"], MD5)
    message = str(caught.value)
    places = f"{tmp_path}, {tmp_path / 'sub'}, {cache_folder() / 'sub'}"
    assert message.startswith(f"set: file is not in {places}, and no mirror gave file")
    assert "\n" not in message
    with pytest.raises(UserError, match="data_dir must be an existing folder, got"):
        own_folders(tmp_path / "nowhere", "sub")
