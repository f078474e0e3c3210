from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hepae
from hepae.comparison import compare_files
from hepae.errors import OutputError
from hepae.io.outputs import atomic_output, output_folder
from hepae.validation.canvas import Style


def _start(*arguments, **options):
    command = [sys.executable, "-m", "hepae", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options)


def _parts(folder):
    return [path for path in folder.iterdir() if path.name.endswith(".part")]


def _wait_for_part(folder, process):
    """Wait until a command writes."""
    for _ in range(1200):
        if any([*part.glob("*.root")] for part in _parts(folder)):
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    pytest.fail("nothing was written in a minute")


def _write(path, text, meanwhile=lambda: None):
    with atomic_output(path) as temporary:
        temporary.write_text(text)
        meanwhile()


def _write_folder(path, files, text, meanwhile=lambda: None, **options):
    with output_folder(path, marker="m.json", **options) as folder:
        for name in files:
            (folder / name).write_text(text)
        meanwhile()


def _fail():
    raise KeyError


def test_output_appears_only_when_its_block_ends_well(tmp_path):
    path = tmp_path / "out.txt"
    with pytest.raises(ZeroDivisionError), atomic_output(path) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert list(tmp_path.iterdir()) == []
    with atomic_output(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_existing_output_is_kept_unless_forced(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("before")
    with pytest.raises(OutputError, match="--force"), atomic_output(path):
        pass
    assert path.read_text() == "before"
    with atomic_output(path, force=True) as temporary:
        temporary.write_text("after")
    assert path.read_text() == "after"
    with pytest.raises(OutputError, match="no folder"), atomic_output(tmp_path / "no" / "out.txt"):
        pass


def test_files_get_the_permissions_that_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_output(tmp_path / "out.txt") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)
    assert (tmp_path / "out.txt").stat().st_mode & 0o777 == 0o640


def test_of_two_processes_that_write_one_output_one_fails(sample, tmp_path):
    output = tmp_path / "small.root"
    processes = [_start("compress", sample, "-o", output, "--quiet") for _ in range(2)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 1]
    assert sorted(errors)[1] == f"Error: {output} exists already; name another output or add --force\n"
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("links", [True, False])
def test_a_name_that_was_taken_in_the_meantime_is_kept(tmp_path, monkeypatch, links):
    def no_links(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    if not links:  # FAT, some network file systems
        monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "out.txt"
    with pytest.raises(OutputError, match="exists already"):
        _write(path, "mine", meanwhile=lambda: path.write_text("another's"))
    assert path.read_text() == "another's"
    path.unlink()
    _write(path, "mine")
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_an_input_that_cannot_be_read_is_no_failed_write(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_output(tmp_path / "out.txt") as temporary:
        temporary.write_bytes((tmp_path / "input.txt").read_bytes())
    with pytest.raises(OutputError, match="cannot write"), atomic_output(tmp_path / "out.txt") as temporary:
        (temporary / "no folder").write_bytes(b"")
    assert list(tmp_path.iterdir()) == []


def _small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_file_larger_than_allowed_is_one_line(sample, tmp_path):
    process = _start("compress", sample, "-o", tmp_path / "x.root", "--quiet", preexec_fn=_small_files)
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert error == f"Error: cannot write {tmp_path / 'x.root'}: File too large; nothing was written\n"
    assert list(tmp_path.iterdir()) == []


def test_sigterm_removes_what_was_begun(sample, tmp_path):
    process = _start("compress", *[sample] * 12, "-o", tmp_path / "x.root", "--quiet")
    _wait_for_part(tmp_path, process)
    process.send_signal(signal.SIGTERM)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGTERM, error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_goes_with_the_next_one_and_what_a_living_one_writes_stays(sample, tmp_path):
    output = tmp_path / "x.root"
    process = _start("compress", *[sample] * 12, "-o", output, "--quiet")
    _wait_for_part(tmp_path, process)
    process.kill()
    process.communicate(timeout=60)
    (stale,) = _parts(tmp_path)
    living = _start("compress", *[sample] * 12, "-o", output, "--quiet")
    while _parts(tmp_path) == [stale] or not _parts(tmp_path):
        assert living.poll() is None
        time.sleep(0.05)
    _wait_for_part(tmp_path, living)
    assert not stale.exists()
    hepae.compress_file(sample, output, hepae.BoundedCodec())
    with hepae.open(output) as file:
        assert file.num_entries == 20_000
    (part,) = _parts(tmp_path)
    assert part.is_dir()
    living.communicate(timeout=120)
    assert living.returncode == 1
    assert list(tmp_path.iterdir()) == [output]


def _name_inside(path):
    """Name of a ROOT file in its own header: the first key, at byte 100."""
    data = path.read_bytes()
    assert data[126:132] == b"\x05TFile"
    return data[133 : 133 + data[132]].decode()


def test_a_root_file_carries_its_own_name(sample, codec, tmp_path):
    small, back = tmp_path / "small.root", tmp_path / "back.root"
    hepae.compress_file(sample, small, codec)
    hepae.decompress_file(small, back)
    assert (_name_inside(small), _name_inside(back)) == ("small.root", "back.root")
    assert b".part" not in small.read_bytes() + back.read_bytes()


def test_a_folder_is_written_whole_and_only_its_own_files_are_replaced(tmp_path):
    path = tmp_path / "deep" / "plots"
    with pytest.raises(KeyError):
        _write_folder(path, ["a.pdf"], "half", _fail)
    assert not path.exists()
    _write_folder(path, ["a.pdf", "b.pdf", "m.json"], "first")
    (path / "mine.pdf").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        _write_folder(path, ["b.pdf", "m.json"], "second")
    with pytest.raises(KeyError):
        _write_folder(path, ["b.pdf", "m.json"], "half", _fail, force=True)
    texts = {"a.pdf": "first", "b.pdf": "first", "m.json": "first", "mine.pdf": "mine"}
    assert {file.name: file.read_text() for file in path.glob("[!.]*")} == texts
    _write_folder(path, ["b.pdf", "m.json"], "second", force=True)
    texts = {"b.pdf": "second", "m.json": "second", "mine.pdf": "mine"}
    assert {file.name: file.read_text() for file in path.glob("[!.]*")} == texts
    assert json.loads((path / ".hepae_files.json").read_text()) == ["b.pdf", "m.json"]
    assert not _parts(tmp_path / "deep") + _parts(path)


def test_of_two_that_write_one_folder_one_fails(tmp_path):
    path = tmp_path / "plots"
    with pytest.raises(OutputError, match="exists already"):
        _write_folder(path, ["m.json"], "one", lambda: _write_folder(path, ["m.json"], "other"))
    assert (path / "m.json").read_text() == "other"


def _quick_figure(_figure, path):
    files = [path.with_name(f"{path.name}{suffix}") for suffix in (".png", ".pdf")]
    for file in files:
        file.write_text("figure")
    return files


def test_a_comparison_leaves_no_figures_of_an_earlier_one(sample, codec, tmp_path, monkeypatch):
    monkeypatch.setattr("hepae.validation.canvas.save", _quick_figure)  # what they show is tested elsewhere
    small, plots = tmp_path / "small.root", tmp_path / "plots"
    hepae.compress_file(sample, small, codec, collection=["Jet", "GenJet"])
    first = compare_files(sample, small, plots, style=Style())
    assert all(path.parent == plots and path.exists() for path in first.figures)
    (plots / "notes.txt").write_text("mine")
    again = compare_files(sample, small, plots, style=Style(), force=True, collection="Jet")
    expected = {path.name for path in again.figures} | {"metrics.json", "notes.txt", ".hepae_files.json"}
    assert {path.name for path in plots.iterdir()} == expected
    assert not {path.name for path in first.figures} & expected


def test_a_comparison_that_runs_out_of_disk_leaves_nothing(sample, codec, tmp_path):
    small, plots = tmp_path / "small.root", tmp_path / "plots"
    hepae.compress_file(sample, small, codec)
    process = _start("compare", sample, small, "-o", plots, "--quiet", preexec_fn=_tiny_files)
    error = process.communicate(timeout=180)[1]
    assert process.returncode == 1
    assert error.startswith("Error: cannot write ")
    assert error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"small.root"}


def _tiny_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_a_file_and_its_name_are_on_the_disk_before_it_is_done(tmp_path, monkeypatch):
    """Power may fail at any moment: first the content is written down, then the name, then the folder's list of names."""
    done, fsync, link = [], os.fsync, os.link
    monkeypatch.setattr(
        os, "fsync", lambda file: (done.append(str(Path(f"/proc/self/fd/{file}").readlink())), fsync(file))
    )
    monkeypatch.setattr(
        os, "link", lambda one, other, **more: (done.append("named"), link(one, other, **more))
    )
    _write(tmp_path / "out.txt", "x")
    content, *rest = done
    assert content.endswith(".part/out.txt")
    assert rest == ["named", str(tmp_path)]


FULL_AND_READ_ONLY = """
import json, sys
from pathlib import Path
from click.testing import CliRunner
from hepae.cli import main
sample, small = sys.argv[1:]
found = {}
for folder in ("full", "read-only"):
    for name, *words in (("compress", sample), ("decompress", small), ("sample",)):
        quiet = [] if name == "sample" else ["--quiet"]
        done = CliRunner().invoke(main, [name, *words, "-o", f"{folder}/x.root", *quiet] if words else [name, f"{folder}/x.root"])
        found[f"{name} {folder}"] = done.exit_code, done.stderr, [path.name for path in Path(folder).iterdir()]
print(json.dumps(found))
"""


def test_a_full_disk_and_one_that_is_read_only(sample, tmp_path):
    """Disks of memory, in a namespace of their own."""
    small = tmp_path / "small.root"
    hepae.compress_file(sample, small, hepae.BoundedCodec())
    for name in ("full", "read-only"):
        (tmp_path / name).mkdir()
    mount = "mount -t tmpfs -o size=100k none full && mount -t tmpfs -o ro none read-only"
    unshared = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*unshared, mount], cwd=tmp_path, check=False).returncode
    ):
        pytest.skip("no disk can be mounted: unshare does not work here")
    command = [
        *unshared,
        f'{mount} && exec "$@"',
        "sh",
        sys.executable,
        "-c",
        FULL_AND_READ_ONLY,
        sample,
        small,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 6
    for what, (status, error, left) in found.items():
        reason = "No space left on device" if "full" in what else "Read-only file system"
        assert (status, left) == (1, []), what
        assert error == f"Error: cannot write {what.split()[1]}/x.root: {reason}; nothing was written\n"
