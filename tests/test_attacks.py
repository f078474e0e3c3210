"""Files that were made to attack who reads them, each given to the command line: what they try, and what becomes of it.

Every attempt runs in a process that notes which programs are started, which connections are made, and whether the file ``secret`` is read. Whatever
the outcome, nothing of that may happen, nothing may be written outside the output folder, and a GB of memory and 20 s of one processor have to
be enough. The table in docs/explanation/attacks.md has one row for each attempt; after a change, write it again:

    HEPAE_ATTACKS=docs/explanation/attacks.md python -m pytest tests/test_attacks.py
"""

from __future__ import annotations

import builtins
import json
import os
import pickle
import re
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import uproot

import hepae
from hepae.files.parts import _part_row
from hepae.validation.report import ComparedColumn, ComparedFile, Page
from hepae.validation.residuals import ColumnResiduals

if TYPE_CHECKING:
    from collections.abc import Callable

MEGABYTES, SECONDS = 1000, 20
PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "attacks.md"
SECRET = "4263.75"
"""What the secret file holds; no output and no message may have it."""
ATTACKS: list[Attack] = []
OWN = f"watched: subprocess.Popen ('{sys.executable}', ['{sys.executable}', '-P'"
"""How a process of hepae's own begins: what may crash on a damaged file reads it there."""
REFUSED, DATA = "refused in one line", "read as plain data"


@dataclass(frozen=True)
class Attack:
    """An attempt: the kind of file, what it tries, how the file is made, the command it is given to, and what has to come of it."""

    kind: str
    attempt: str
    make: Callable[[Path, Path], object]
    command: str
    file: str
    outcome: str


def attack(kind, attempt, *, command="compress FILE -o out/x.root", outcome=REFUSED, name="x", file=None):
    """Add an attempt; the function makes the file, and is told where the secret one is."""

    def add(make):
        path = file or f"in/{name}"
        ATTACKS.append(Attack(kind, attempt, make, command.replace("FILE", path), path, outcome))
        return make

    return add


class Calls:
    """Becomes a call of any function in a pickle."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _pickled(value):
    return lambda path, _: path.write_bytes(pickle.dumps(value(path) if callable(value) else value))


attack("pickle", "run a program")(_pickled(lambda path: Calls(os.system, f"touch {path.parent}/ran")))
attack("pickle", "run a program when one value of a pandas table is read")(
    lambda path, _: pd.DataFrame({"pt": [1.0], "x": [Calls(os.system, "touch ran")]}).to_pickle(path)
)
attack("pickle", "evaluate Python")(
    _pickled(lambda path: Calls(builtins.eval, f"open('{path.parent}/ran', 'w')"))
)
attack("pickle", "reach a function through getattr")(
    _pickled(Calls(builtins.getattr, Calls(__import__, "os"), "system"))
)
attack("pickle", "start a process")(_pickled(Calls(subprocess.Popen, ["touch", "ran"])))
attack("pickle", "read another file")(
    lambda path, secret: path.write_bytes(pickle.dumps({"pt": Calls(np.loadtxt, str(secret))}))
)
attack("pickle", "overwrite another file")(
    lambda path, secret: path.write_bytes(pickle.dumps(Calls(os.rename, str(path), str(secret))))
)
attack("pickle", "take 10¹² bytes of memory")(_pickled(Calls(bytearray, 10**12)))


@attack("pickle", "take memory: lists that hold each other twice, two hundred deep")
def _(path, _):
    value = 1.0
    for _ in range(200):
        value = [value, value]
    path.write_bytes(pickle.dumps({"pt": value}))


def _model(path, header=None, data=b"", **metadata):
    table = {"__metadata__": {"hepae": json.dumps(header), **metadata}} if header is not None else {}
    text = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


USE = "compress in/jets.root -m FILE -o out/x.root"


@attack("model file", "run a program: a pickle under this name", command=USE, name="m.safetensors")
def _(path, _):
    path.write_bytes(pickle.dumps(Calls(os.system, f"touch {path.parent}/ran")))


@attack(
    "model file", "run a program: a file of torch.save under this name", command=USE, name="m.safetensors"
)
def _(path, _):
    torch.save({"weights": Calls(os.system, f"touch {path.parent}/ran")}, path)


@attack("model file", "take memory: a header of 2⁶⁰ bytes", command=USE, name="m.safetensors")
def _(path, _):
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")


@attack("model file", "take memory: a network of 10¹⁸ weights", command=USE, name="m.safetensors")
def _(path, _):
    _changed_model(path, lambda header: header["network"].update(hidden=[10**9, 10**9]))


@attack("model file", "recurse: JSON a hundred thousand deep", command=USE, name="m.safetensors")
def _(path, _):
    text = b'{"__metadata__": ' + b"[" * 100_000
    path.write_bytes(struct.pack("<Q", len(text)) + text)


@attack("model file", "leave the output folder: columns named ../../x", command=USE, name="m.safetensors")
def _(path, _):
    _changed_model(path, lambda header: _replaced(header, '"eta"', '"../../x"'))


def _changed_model(path, change):
    """The model beside it, with a header that says something else."""
    data = (path.parent / "model.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    table = json.loads(data[8 : 8 + length])
    header = json.loads(table["__metadata__"]["hepae"])
    change(header)
    table["__metadata__"]["hepae"] = json.dumps(header)
    text = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


RUN = "train in/jets.root -o out/m.safetensors --resume FILE"


@attack("checkpoint of a run", "run a program when the run is resumed", command=RUN, file="out/run")
def _(path, _):
    path.mkdir()
    (path / "config.toml").write_text("epochs = 2\n")
    torch.save({"epoch": 1, "state": Calls(os.system, f"touch {path.parent}/ran")}, path / "last.pt")


RESTORE = "decompress FILE -o out/x.root"


def _compressed(change=lambda _: None, model=None):
    """Write the compressed file beside it, with a header that was changed, and the checksums of that."""

    def make(path, _):
        with uproot.open(path.parent / "small.root") as file:
            trees = {
                name: file[name].arrays(how=dict)
                for name in file.keys(cycle=False)
                if name != "hepae_history"
            }
        header = json.loads(trees["hepae"]["header"][0].to_numpy().tobytes())
        change(header)
        entries = int(trees["hepae"]["entries"][0])
        trees["hepae"] = _part_row(header, entries, model or b"")
        with uproot.recreate(path) as file:
            for name, arrays in trees.items():
                kept = {n: a for n, a in arrays.items() if n[1:] not in arrays}
                kinds = {n: getattr(ak.type(a), "content", None) or a.dtype for n, a in kept.items()}
                file.mktree(name, kinds, counter_name=lambda branch: f"n{branch}").extend(kept)

    return make


def _flat(path, name):
    """A flat tree of jets with a further branch."""
    values = np.linspace(20, 90, 50).astype("f4")
    names = ("pt", "eta", "phi", "m", name)
    with uproot.recreate(path) as file:
        file.mktree("jets", dict.fromkeys(names, "f4")).extend(dict.fromkeys(names, values))


def _replaced(header, old, new):
    text = json.dumps(header).replace(old, new)
    header.clear()
    header.update(json.loads(text))


attack("compressed file", "leave the output folder: a tree named ../../x", command=RESTORE)(
    _compressed(lambda header: header.update(tree="../../x"))
)
attack("compressed file", "leave the output folder: another tree named ../../x", command=RESTORE)(
    _compressed(
        lambda header: header.update(other_trees={"../../x": {"entries": 1, "branches": [], "checksums": {}}})
    )
)
attack("compressed file", "leave the output folder: a column named ../../x", command=RESTORE, outcome=DATA)(
    _compressed(lambda header: _replaced(header, '"Jet_pt"', '"../../x"'))
)
attack("compressed file", "run a program: a pickle in place of the decoder", command=RESTORE)(
    _compressed(
        lambda header: header.update(codec="latent"), model=pickle.dumps(Calls(os.system, "touch ran"))
    )
)
attack("compressed file", "take memory: 2³¹ jets", command=RESTORE)(
    _compressed(lambda header: header["collections"]["Jet"].update(jets=2**31))
)
attack("compressed file", "take memory: 2⁶² events", command=RESTORE)(
    _compressed(lambda header: header.update(events=2**62))
)


@attack(
    "ROOT file",
    "write to the terminal: a branch with control characters in its name",
    command="info FILE",
    outcome="printed without them",
)
def _(path, _):
    _flat(path, "\x1b]0;owned\x07\x1b[2J")


@attack("ROOT file", "leave the output folder: a branch named ../../x", outcome=DATA)
def _(path, _):
    _flat(path, "../../x")


@attack("HDF5", "read another file: an external link")
def _(path, secret):
    with h5py.File(path, "w") as file:
        file["pt"] = h5py.ExternalLink(str(secret), "/")


@attack("HDF5", "read another file: a dataset whose values are there")
def _(path, secret):
    with h5py.File(path, "w") as file:
        file.create_dataset("pt", (7,), "u1", external=[(str(secret), 0, 7)])


@attack("HDF5", "read another file: a virtual dataset")
def _(path, secret):
    layout = h5py.VirtualLayout((7,), "u1")
    layout[:] = h5py.VirtualSource(str(secret), "x", (7,))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("pt", layout)


@attack("HDF5", "take memory: 2⁶⁰ values in a file of a few kB")
def _(path, _):
    with h5py.File(path, "w") as file:
        file.create_dataset("pt", (2**60,), "f8", chunks=(1000,))


@attack("HDF5", "take memory: 10⁹ equal values, compressed")
def _(path, _):
    with h5py.File(path, "w") as file:
        for name in ("pt", "eta", "phi", "mass"):
            file.create_dataset(name, (10**9,), "f4", chunks=(10**6,), compression="gzip", fillvalue=1.0)


@attack("HDF5", "loop: a group that holds itself")
def _(path, _):
    with h5py.File(path, "w") as file:
        file["a"] = h5py.SoftLink("/")
        file.create_group("g")["file"] = file["/"]


@attack("Parquet", "take memory: 10⁷ equal values in a file of a few kB")
def _(path, _):
    values = pa.DictionaryArray.from_arrays(pa.array(np.zeros(3 * 10**7, np.int8)), pa.array([1.0]))
    table = pa.table(dict.fromkeys(("pt", "eta", "phi", "mass"), values))
    pq.write_table(table, path, compression="zstd")


@attack("Parquet", "recurse: structures sixty deep")
def _(path, _):
    value = pa.array([1.0])
    for _ in range(60):
        value = pa.StructArray.from_arrays([value], ["a"])
    pq.write_table(pa.table({"pt": value}), path)


@attack("Parquet", "leave the output folder: a column named ../../x", outcome=DATA)
def _(path, _):
    pq.write_table(pa.table({name: [1.0, 2.0] for name in ("pt", "eta", "phi", "mass", "../../x")}), path)


@attack("CSV", "take time: a hundred thousand columns", name="x.csv")
def _(path, _):
    path.write_text(",".join(f"c{i}" for i in range(100_000)) + "\n" + "1," * 99_999 + "1\n")


@attack("CSV", "take memory: a field that never ends", name="x.csv")
def _(path, _):
    path.write_text('pt,eta,phi,mass\n"' + "1\n" * 300_000)


@attack("CSV", "start a program in a spreadsheet: a formula", name="x.csv")
def _(path, _):
    path.write_text("pt,eta,phi,mass\n=cmd|'/C touch ran'!A0,1,1,1\n")


BOUNDS = "compress in/jets.root --bounds FILE -o out/x.root"


@attack("TOML", "recurse: brackets a hundred thousand deep", command=BOUNDS, name="b.toml")
def _(path, _):
    path.write_text("a = " + "[" * 100_000)


@attack("TOML", "take time: a number of a million digits", command=BOUNDS, name="b.toml")
def _(path, _):
    path.write_text("a = " + "9" * 1_000_000)


@attack("TOML", "run Python in a bound", command=BOUNDS, name="b.toml")
def _(path, _):
    path.write_text("[bounds]\npt = \"__import__('os').system('touch ran')\"\n")


@attack(
    "TOML",
    "take memory: a network of 10¹⁸ weights",
    name="c.toml",
    command="train in/jets.root -o out/m.safetensors --config FILE --runs-dir out/runs",
)
def _(path, _):
    path.write_text("[network]\nhidden = [1000000000, 1000000000]\n")


@attack(
    "ONNX",
    "read another file: weights that are outside (hepae writes ONNX, and reads none)",
    command="info FILE",
    name="m.onnx",
)
def _(path, secret):
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    weights = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=str(secret))
    graph = onnx.helper.make_graph([], "g", [], [], initializer=[weights])
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())


SCRIPT = "<script src=//evil></script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def outcomes():
    """What came of each attempt; the page is written where `HEPAE_ATTACKS` names it."""
    found = {}
    yield found
    page = os.environ.get("HEPAE_ATTACKS")
    if page:
        text = Path(page).read_text()
        rows = "".join(f"| {kind} | {attempt} | {outcome} |\n" for (kind, attempt), outcome in found.items())
        Path(page).write_text(re.sub(r"(\|---\|---\|---\|\n)(\|.*\n)*", lambda match: match[1] + rows, text))


@pytest.fixture(scope="module")
def inputs(sample, codec, tmp_path_factory):
    """What the attempts need beside them: jets, a compressed file and a model."""
    folder = tmp_path_factory.mktemp("inputs")
    with uproot.open(sample) as file:
        names = ("event", "nJet", "Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass")
        arrays = file["Events"].arrays(names, entry_stop=300, how=dict)
    with uproot.recreate(folder / "jets.root") as file:
        kept = {n: a for n, a in arrays.items() if n != "nJet"}
        kinds = {n: getattr(ak.type(a), "content", None) or a.dtype for n, a in kept.items()}
        file.mktree("Events", kinds, counter_name=lambda _: "nJet").extend(kept)
    hepae.compress_file(folder / "jets.root", folder / "small.root", hepae.BoundedCodec())
    codec.save(folder / "model.safetensors")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.kind}: {attack.attempt}")
def test_attempts_do_nothing(forked, inputs, outcomes, tmp_path, attack):
    for name in ("in", "out", "elsewhere"):
        (tmp_path / name).mkdir()
    for name, data in inputs.items():
        (tmp_path / "in" / name).write_bytes(data)
    secret = tmp_path / "elsewhere" / "secret"
    secret.write_text(SECRET)
    attack.make(tmp_path / attack.file, secret)
    before = _files(tmp_path)
    words = [
        str(tmp_path / word) if word.startswith(("in/", "out/")) else word for word in attack.command.split()
    ]
    status, megabytes, seconds, said = forked(*words)
    started = [line for line in said.splitlines() if line.startswith("watched:") and OWN not in line]
    assert not started, started
    assert "Traceback" not in said, said
    assert "\x1b]" not in said, said
    assert (megabytes < MEGABYTES, seconds < SECONDS) == (True, True), (megabytes, seconds)
    after = _files(tmp_path)
    assert {path for path in after.keys() ^ before.keys() if tmp_path / "out" not in path.parents} == set()
    assert all(after[path] == data for path, data in before.items())
    assert SECRET not in said
    assert not any(
        SECRET.encode() in data for path, data in after.items() if path != secret and path not in before
    )
    assert not Path("ran").exists()
    if attack.outcome == REFUSED:
        assert status in (1, 2), said
        assert sum(line.startswith("Error: ") for line in said.splitlines()) == 1, said
        assert [path for path in after.keys() - before.keys() if "run" not in path.parts] == []
    else:
        assert status == 0, said
    outcomes[attack.kind, attack.attempt] = attack.outcome


REPORT = (
    "HTML report",
    "run a script: names of files and columns that hold one",
    "escaped; the page forbids every request",
)


def test_a_report_runs_no_script(outcomes):
    """`tests/validation/test_report.py` opens such a page in a browser."""
    residuals = ColumnResiduals(
        max_abs=0, max_rel=0, mean=0, median=0, std=0, p68=0, p99=0, unit=SCRIPT, violations=3, non_finite=0
    )
    column = ComparedColumn(SCRIPT, SCRIPT, SCRIPT, residuals, 5, True, (0.0, 0.0))
    files = [
        ComparedFile(SCRIPT, SCRIPT, 5000, "ab" * 32, {SCRIPT: SCRIPT}),
        ComparedFile(SCRIPT, SCRIPT, 50, "cd" * 32),
    ]
    sizes = {
        SCRIPT: {
            "file_original": 5000,
            "file_compressed": 50,
            "original": 500,
            "compressed": 5,
            "per_jet": 1.0,
            "ratio": 100.0,
        }
    }
    page = Page(10, 2, files, [column], sizes, [], 0).render()
    assert "&lt;script src=//evil" in page
    assert "<script src" not in page
    assert "<img src=x" not in page
    assert "default-src 'none'" in page
    outcomes[REPORT[:2]] = REPORT[2]


def test_the_page_lists_all_attempts():
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in PAGE.read_text().splitlines()
    ]
    for row in [REPORT, *((attack.kind, attack.attempt, attack.outcome) for attack in ATTACKS)]:
        assert row in rows
