"""Inputs and outputs by pattern and URL: files over http and root from servers on the loopback address."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import awkward as ak
import fsspec
import pytest
from click.testing import CliRunner

import hepae
from hepae.cli import main
from hepae.errors import InputError, OutputError
from hepae.io.locations import expand, locate
from hepae.io.outputs import atomic_output

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of some files here is told by their values, which test_inputs.py is about."""

LOOPBACK = "127.0.0.1"


class _Files(http.server.SimpleHTTPRequestHandler):
    """Whole files, as Python's own server gives them."""

    def log_message(self, *_):
        pass


class _Ranges(_Files):
    """Parts of files as well, as web servers give them."""

    def send_head(self):
        asked = self.headers.get("Range", "")
        path = self.translate_path(self.path)
        if not asked.startswith("bytes="):
            return super().send_head()
        try:
            file = open(path, "rb")  # noqa: SIM115, PTH123  # http.server closes it
        except OSError:
            return self.send_error(404)
        size = file.seek(0, 2)
        start, end = asked.removeprefix("bytes=").split("-")
        first = int(start) if start else max(size - int(end), 0)
        last = min(int(end), size - 1) if start and end else size - 1
        file.seek(first)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        self.wfile.write(file.read(last - first + 1))
        file.close()
        return None


class _Forbidden(_Files):
    """A server that lets nobody in."""

    def send_head(self):
        return self.send_error(403)


@contextlib.contextmanager
def _http_server(folder, handler):
    with http.server.ThreadingHTTPServer(
        (LOOPBACK, 0), functools.partial(handler, directory=str(folder))
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{LOOPBACK}:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(params=[_Ranges, _Files], ids=["ranges", "whole files"])
def web(request, tmp_path):
    """Folder whose files are served over http, and its address."""
    with _http_server(tmp_path, request.param) as address:
        yield tmp_path, address


@pytest.fixture(scope="module")
def xrootd():
    """Folder that a real xrootd server gives out, and its address."""
    pytest.importorskip("fsspec_xrootd", reason="the extra xrootd is not installed: no root:// is tried")
    pytest.importorskip("XRootD", reason="the extra xrootd is not installed: no root:// is tried")
    if shutil.which("xrootd") is None:
        pytest.skip("no xrootd server is installed (Debian: xrootd-server): no root:// is tried")
    # Where this runs as root the server runs as nobody, whom pytest's own folders are closed to.
    base = Path(tempfile.mkdtemp(prefix="hepae-xrootd"))
    folder, own = base / "data", base / "own"
    for each in (base, folder, own):
        each.mkdir(exist_ok=True)
        each.chmod(0o777)
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        port = free.getsockname()[1]
    config = own / "xrootd.cfg"
    config.write_text(
        f"xrd.port {port}\nxrd.network nodnr\nall.export {folder}\nall.adminpath {own}\nall.pidpath {own}\n"
    )
    command = ["xrootd", "-c", str(config), "-l", str(own / "log"), *_as_nobody()]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and server.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), 1):
                break
            time.sleep(0.1)
        else:
            pytest.fail(f"the xrootd server does not start: {(own / 'log').read_text()[-2000:]}")
        yield folder, f"root://{LOOPBACK}:{port}/{folder}"
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(base)


def _as_nobody():
    return ["-R", "nobody"] if os.getuid() == 0 else []


def _same(one, other):
    return (
        ak.all(ak.num(one) == ak.num(other)) and ak.all(one.pt == other.pt) and ak.all(one.mass == other.mass)
    )


def test_patterns_are_sorted_files(tmp_path, sample):
    for name in ("b.root", "a.root", "c.txt"):
        shutil.copy(sample, tmp_path / name)
    found = expand(str(tmp_path / "*.root"))
    assert [path.name for path in found] == ["a.root", "b.root"]
    assert len(hepae.read_jets(str(tmp_path / "*.root"))) == 40_000
    assert [path.name for path in expand([tmp_path / "c.txt", str(tmp_path / "a*")])] == ["c.txt", "a.root"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path, sample):
    for name in ("jets[1].root", "jets1.root"):
        shutil.copy(sample, tmp_path / name)
    assert [path.name for path in expand(str(tmp_path / "jets[1].root"))] == ["jets[1].root"]


@pytest.mark.parametrize("pattern", ["nothing*.root", "memory://nothing*.root"])
def test_a_pattern_that_matches_nothing_is_one_line(tmp_path, monkeypatch, pattern):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["compress", pattern, "-o", "small.root"])
    assert result.exit_code == 1
    assert result.stderr == f"Error: no file matches {pattern!r}\n"
    assert not (tmp_path / "small.root").exists()


def test_patterns_on_the_command_line(tmp_path, sample):
    (tmp_path / "data").mkdir()
    for name in ("a.root", "b.root"):
        shutil.copy(sample, tmp_path / "data" / name)
    output = tmp_path / "small.root"
    result = CliRunner().invoke(main, ["compress", str(tmp_path / "data" / "*.root"), "-o", str(output)])
    assert result.exit_code == 0, result.output
    with hepae.open(output) as file:
        assert file.num_entries == 40_000


def test_file_urls_are_paths(sample):
    assert locate(f"file://{sample}") == sample
    assert _same(hepae.read_jets(f"file://{sample}"), hepae.read_jets(sample))


@pytest.mark.parametrize(("url", "what"), [("blub://a/b.root", "blub"), ("s3://a/b.root", "s3")])
def test_what_fsspec_cannot_open_is_one_line(url, what):
    if what == "s3":
        with contextlib.suppress(ImportError):
            import s3fs  # noqa: F401

            pytest.skip("s3fs is installed here: s3:// would be opened")
    with pytest.raises(InputError, match=what):
        hepae.read_jets(url)


def test_without_the_extra_the_error_names_it():
    program = (
        "import sys; sys.modules['XRootD'] = None; sys.modules['fsspec_xrootd'] = None\n"
        "from hepae.cli import main; main(['info', 'root://localhost//jets.root'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'hepae[xrootd]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_files_over_http(web, sample, tmp_path):
    folder, address = web
    shutil.copy(sample, folder / "jets.root")
    url = f"{address}/jets.root"
    assert _same(hepae.read_jets(url), hepae.read_jets(sample))
    summary = hepae.compress_file(url, tmp_path / "small.root", hepae.BoundedCodec())
    assert summary.file_before == sample.stat().st_size
    hepae.decompress_file(f"{address}/small.root", tmp_path / "back.root")
    with hepae.open(tmp_path / "small.root") as file:
        assert _same(hepae.read_jets(tmp_path / "back.root"), file.jets())


@pytest.mark.parametrize("name", ["jets_9columns.h5", "darkmachines_monojet.pkl"])
def test_tables_over_http(web, data, name):
    folder, address = web
    shutil.copy(data / name, folder / name)
    assert ak.array_equal(hepae.read_jets(f"{address}/{name}"), hepae.read_jets(data / name), equal_nan=True)


def test_parquet_over_http_knows_its_sizes(web, sample, tmp_path):
    folder, address = web
    hepae.compress_file(sample, tmp_path / "small.root", hepae.BoundedCodec())
    hepae.decompress_file(tmp_path / "small.root", folder / "jets.parquet")
    url = f"{address}/jets.parquet"
    codec = hepae.BoundedCodec()
    before = hepae.compress_file(folder / "jets.parquet", tmp_path / "one.root", codec, again=True)
    after = hepae.compress_file(url, tmp_path / "two.root", codec, again=True)
    assert after.coded_before == before.coded_before > 0


def test_a_missing_file_over_http_is_one_line(web):
    _, address = web
    with pytest.raises(InputError, match=f"no such file: {address}/none.root"):
        hepae.read_jets(f"{address}/none.root")


def test_a_server_that_is_not_there_or_refuses_is_no_missing_file(tmp_path):
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        url = f"http://{LOOPBACK}:{free.getsockname()[1]}/x.root"
        with pytest.raises(InputError, match=f"cannot reach the server of {url} .*check the URL"):
            hepae.read_jets(url)
    with (
        _http_server(tmp_path, _Forbidden) as address,
        pytest.raises(InputError, match="the server answers 403"),
    ):
        hepae.read_jets(f"{address}/x.root")


def test_a_truncated_file_over_http_is_refused(web, sample):
    folder, address = web
    (folder / "cut.root").write_bytes(sample.read_bytes()[:-1000])
    with pytest.raises(InputError, match="1000 bytes of its end are missing"):
        hepae.read_jets(f"{address}/cut.root")


def test_what_cannot_be_written_is_refused_and_leaves_nothing(web, sample):
    folder, address = web
    with pytest.raises(OutputError, match="not possible over its protocol"):
        hepae.compress_file(sample, f"{address}/out.root", hepae.BoundedCodec())
    assert not [*folder.iterdir()]


def _write_half(target):
    with atomic_output(target) as temporary:
        temporary.write_bytes(b"half")
        raise KeyError


def test_output_to_a_url_arrives_whole_or_not_at_all(sample):
    target = "memory://outputs/small.root"
    files = fsspec.filesystem("memory")
    with contextlib.suppress(FileNotFoundError):
        files.rm("/outputs", recursive=True)
    with pytest.raises(KeyError):
        _write_half(target)
    assert not files.exists("/outputs")
    summary = hepae.compress_file(sample, target, hepae.BoundedCodec())
    assert files.ls("/outputs", detail=False) == ["/outputs/small.root"]
    assert files.size("/outputs/small.root") == summary.file_after
    with pytest.raises(OutputError, match="exists already"):
        hepae.compress_file(sample, target, hepae.BoundedCodec())
    with pytest.raises(OutputError, match="is the input as well"):
        hepae.decompress_file(target, target, force=True)
    hepae.compress_file(sample, target, hepae.BoundedCodec({"pt": "1%"}), force=True)
    with hepae.open(target) as file:
        assert str(file.bounds()["pt"]) == "1%"
        assert file.header.bytes.file_compressed == files.size("/outputs/small.root")


@pytest.mark.usefixtures("figures")
def test_a_round_trip_through_an_xrootd_server(xrootd, sample, tmp_path):
    folder, address = xrootd
    for name in ("a.root", "b.root"):
        shutil.copy(sample, folder / name)
        (folder / name).chmod(0o644)
    commands = [
        ["compress", f"{address}/*.root", "-o", f"{address}/small.root"],
        ["compress", f"{address}/a.root", "-o", f"{address}/small.root", "--force"],
        ["info", f"{address}/small.root"],
        ["compare", f"{address}/a.root", f"{address}/small.root", "-o", str(tmp_path / "comparison")],
        ["decompress", f"{address}/small.root", "-o", f"{address}/back.root"],
    ]
    for command in commands:
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, f"{command}: {result.output}"
    assert sorted(path.name for path in folder.iterdir()) == ["a.root", "b.root", "back.root", "small.root"]
    original, restored = hepae.read_jets(sample), hepae.read_jets(f"{address}/back.root")
    assert ak.all(ak.num(original) == ak.num(restored))
    assert ak.max(abs(restored.pt / original.pt - 1)) <= 1e-3


def test_a_missing_file_on_an_xrootd_server_is_one_line(xrootd):
    _, address = xrootd
    result = CliRunner().invoke(main, ["info", f"{address}/none.root"])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: cannot read {address}/none.root: ")
    assert "damaged" not in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_server_that_is_not_there_is_one_line():
    pytest.importorskip("fsspec_xrootd", reason="the extra xrootd is not installed: no root:// is tried")
    pytest.importorskip("XRootD", reason="the extra xrootd is not installed: no root:// is tried")
    with socket.socket() as bound:  # and not listening
        bound.bind((LOOPBACK, 0))
        url = f"root://{LOOPBACK}:{bound.getsockname()[1]}//jets.root"
        command = [sys.executable, "-m", "hepae", "info", url]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: cannot read {url}: ")
    assert done.stderr.count("\n") == 1


def test_a_move_that_fails_keeps_what_was_written(tmp_path, monkeypatch):
    local = tmp_path / "new"
    local.write_bytes(b"new")
    target = locate("memory://moved/out.root")
    target.filesystem.pipe_file(target.inside, b"old")

    def fail(*_, **__):
        raise OSError("quota")

    monkeypatch.setattr(target.filesystem, "mv", fail)
    with pytest.raises(OSError, match="quota"):
        target.put(local)
    assert target.filesystem.cat_file(f"{target.inside}.part") == b"new"


def test_patterns_in_an_archive(tmp_path, sample):
    archive = tmp_path / "jets.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(sample, "a.root")
    (found,) = expand(f"zip://*.root::{archive}")
    assert str(found) == f"zip://a.root::{archive}"
    assert len(hepae.read_jets(found)) == len(hepae.read_jets(sample))


def test_a_full_disk_under_an_output_by_url_is_one_line():
    with pytest.raises(OutputError, match=r"cannot write memory:.*: No space"):  # noqa: SIM117
        with atomic_output("memory://full/x.root"):
            raise OSError(28, "No space left on device")
