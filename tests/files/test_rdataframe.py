"""Compressed files in RDataFrame have the columns of the original, with the bits that Python restores.

ROOT runs in a process of its own, one for the whole module: cling compiles the C++ reader once.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import awkward as ak
import cramjam
import numpy as np
import pytest
import uproot

import hepae
from hepae.errors import ConfigError, InputError
from hepae.files.include import include_folder
from hepae.files.parts import _part_row, byte_row

pytestmark = pytest.mark.root

PAGE = Path(__file__).parents[2] / "docs" / "how_to" / "rdataframe.md"

WORKER = r"""
import json, sys, warnings
warnings.simplefilter("ignore")
import ROOT
import hepae
ROOT.gROOT.SetBatch()
ROOT.gInterpreter.Declare('''
template <class T> void put(std::ofstream& file, const T& value) { file.write(reinterpret_cast<const char*>(&value), sizeof value); }
std::vector<std::size_t> in_order(const std::vector<ULong64_t>& entries) {
   std::vector<std::size_t> order(entries.size());
   std::iota(order.begin(), order.end(), 0);
   std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return entries[a] < entries[b]; });
   return order;
}
template <class T> void write(const std::vector<T>& column, const std::vector<ULong64_t>& entries, const std::string& path) {
   std::ofstream values(path + ".values", std::ios::binary);
   for (std::size_t i : in_order(entries)) put<T>(values, column[i]);
}
template <class T>
void write(const std::vector<ROOT::RVec<T>>& column, const std::vector<ULong64_t>& entries, const std::string& path) {
   std::ofstream values(path + ".values", std::ios::binary), counts(path + ".counts", std::ios::binary);
   for (std::size_t i : in_order(entries)) {
      put<long>(counts, column[i].size());
      for (const T& value : column[i]) put<T>(values, value);
   }
}
''')

def frame(paths, threads):
    (ROOT.EnableImplicitMT(threads) if threads > 1 else ROOT.DisableImplicitMT())
    return hepae.rdataframe(paths)

def write(df, columns, folder):
    entries = df.Take["ULong64_t"]("rdfentry_")
    taken = [df.Take[str(df.GetColumnType(name))](name) for name in columns]
    for number, values in enumerate(taken):
        ROOT.write(values.GetValue(), entries.GetValue(), f"{folder}/{number}")
    return sorted(int(entry) for entry in entries.GetValue())[-1] + 1

for line in sys.stdin:
    code, arguments = json.loads(line)
    names = {"arguments": arguments, "ROOT": ROOT, "hepae": hepae, "frame": frame, "write": write}
    try:
        exec(code, names)
        answer = {"result": names.get("result")}
    except Exception as error:
        answer = {"error": str(error.what()) if hasattr(error, "what") else str(error), "kind": type(error).__name__}
    print("answer " + json.dumps(answer), flush=True)
"""


class Worker:
    """A process with ROOT that runs code and answers with what it leaves as ``result``."""

    def __init__(self):
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # close() closes it
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def answer(self, code, **arguments):
        """Give the result of the code, or the error that it raised."""
        self._process.stdin.write(json.dumps([code, arguments]) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("answer "):
                return json.loads(line.removeprefix("answer "))
        self._errors.seek(0)
        raise AssertionError(f"ROOT ended: {self._errors.read()[-3000:]}")

    def run(self, code, **arguments):
        """Give the result of the code."""
        found = self.answer(code, **arguments)
        assert "error" not in found, found
        return found["result"]

    def error(self, code, **arguments):
        """Give the error that the code has to raise: one line."""
        found = self.answer(code, **arguments)
        assert "error" in found
        assert "\n" not in found["error"]
        return found["error"]

    def columns(self, paths, columns, *, threads=1):
        """Values of these columns by name: awkward arrays, in the order of the entries."""
        with tempfile.TemporaryDirectory() as folder:
            types = self.run(
                "df = frame(arguments['paths'], arguments['threads'])\n"
                "write(df, arguments['columns'], arguments['folder'])\n"
                "result = [str(df.GetColumnType(name)) for name in arguments['columns']]",
                paths=[str(path) for path in paths],
                columns=columns,
                threads=threads,
                folder=folder,
            )
            return {
                name: _array(Path(folder) / str(i), types[i], columns[name]) for i, name in enumerate(columns)
            }

    @property
    def ended(self):
        return self._process.poll() is not None

    def close(self):
        self._process.communicate(timeout=60)
        self._errors.close()


def _array(path, kind, dtype):
    values = np.frombuffer(path.with_suffix(".values").read_bytes(), dtype)
    if "RVec" not in kind:
        return values
    return ak.unflatten(values, np.frombuffer(path.with_suffix(".counts").read_bytes(), np.int64))


@pytest.fixture(scope="module")
def workers():
    """The process with ROOT of the whole module, in a list; the last one is the one in use."""
    started = [Worker()]
    yield started
    for worker in started:
        worker.close()


@pytest.fixture
def root(workers):
    """The process with ROOT: a new one where the last test's crashed, so that one crash fails one test."""
    if workers[-1].ended:
        workers.append(Worker())
    return workers[-1]


def _plain(path):
    """Types of the branches that are numbers or lists of numbers, by name."""
    with hepae.open(path) as file:
        return {b.name: b.dtype.str for b in file.original_branches if b.dtype is not None and not b.shape}


def _expected(paths, names):
    """What Python restores of these branches."""
    arrays = []
    for path in paths:
        with hepae.open(path) as file:
            arrays.append(file.original_arrays(names, 0, file.num_entries))
    return {name: ak.concatenate([array[name] for array in arrays]) for name in names}


def _bits(array):
    """Counts and bytes of an array of numbers or of lists of numbers."""
    lists = array.ndim > 1
    counts = ak.to_numpy(ak.num(array)).astype(np.int64).tolist() if lists else None
    return counts, ak.to_numpy(ak.flatten(array, axis=None)).tobytes()


def _same_bits(root, paths, *, threads=1):
    """Compare all columns that are numbers or lists of numbers, and give their number."""
    columns = _plain(paths[0])
    found = root.columns(paths, columns, threads=threads)
    expected = _expected(paths, [*columns])
    for name in columns:
        assert _bits(found[name]) == _bits(expected[name]), name
    return len(columns)


@pytest.fixture(scope="module")
def small(sample, tmp_path_factory):
    """The bundled sample with two collections coded, in clusters of 3000 events, as TTree and as RNTuple."""
    folder, found = tmp_path_factory.mktemp("small"), {}
    for storage in ("ttree", "rntuple"):
        found[storage] = folder / f"{storage}.root"
        hepae.compress_file(
            sample,
            found[storage],
            hepae.BoundedCodec(),
            collection=["Jet", "GenJet"],
            storage=storage,
            step_size=3000,
        )
    return found


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("storage", ["ttree", "rntuple"])
def test_all_columns_have_the_bits_of_python(root, small, storage, threads):
    assert _same_bits(root, [small[storage]], threads=threads) >= 11


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("storage", ["ttree", "rntuple"])
def test_several_files_are_read_in_order(root, small, sample, tmp_path, storage, threads):
    second = tmp_path / "second.root"
    codec = hepae.BoundedCodec({"pt": "1%"})
    both = {"collection": ["Jet", "GenJet"], "storage": storage}
    hepae.compress_file(sample, second, codec, entry_start=100, entry_stop=7777, step_size=1000, **both)
    _same_bits(root, [small[storage], second, small[storage]], threads=threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_files_that_hadd_joined(root, sample, tmp_path, threads):
    parts, joined = [tmp_path / "a.root", tmp_path / "b.root"], tmp_path / "joined.root"
    hepae.compress_file(sample, parts[0], hepae.BoundedCodec(), entry_stop=12_345)
    hepae.compress_file(sample, parts[1], hepae.BoundedCodec({"pt": "1%"}, {"pt": "30"}), entry_start=12_345)
    root.run(
        "ROOT.DisableImplicitMT()  # with it, ROOT 6.40's TFileMerger crashes on any two trees, its own too\n"
        "merger = ROOT.TFileMerger(False)\nmerger.OutputFile(arguments['joined'], True)\n"
        "result = [merger.AddFile(part) for part in arguments['parts']] and bool(merger.Merge())",
        joined=str(joined),
        parts=[str(part) for part in parts],
    )
    _same_bits(root, [joined], threads=threads)
    _same_bits(root, [joined, joined], threads=threads)


def test_names_order_and_types_are_those_of_the_original(root, small, sample):
    code = (
        "df = frame(arguments['paths'], 1)\n"
        "result = [[str(name), str(df.GetColumnType(name))] for name in df.GetColumnNames()]"
    )
    original = root.run(
        code.replace("frame(", "ROOT.RDataFrame('Events', ").replace(", 1)", ")"), paths=str(sample)
    )
    for storage in ("ttree", "rntuple"):
        found = root.run(code, paths=str(small[storage]))
        assert [name for name, _ in found] == [name for name, _ in original]
        assert dict(found)["Jet_pt"] == "ROOT::VecOps::RVec<float>"


def test_a_second_loop_may_touch_further_columns(root, small):
    code = """
df = frame(arguments["path"], arguments["threads"])
first = df.Sum("Jet_pt").GetValue()
second = df.Sum("nGenJet").GetValue()
third = df.Filter("event % 7 == 0").Sum("GenJet_eta").GetValue()
result = [first, second, third, df.Sum("Jet_pt").GetValue(), df.Range(5000, 5100).Count().GetValue() if arguments["threads"] == 1 else 100]
"""
    for storage in ("ttree", "rntuple"):
        expected = _expected([small[storage]], ["Jet_pt", "nGenJet", "GenJet_eta", "event"])
        eta = ak.values_astype(expected["GenJet_eta"][expected["event"] % 7 == 0], np.float64)
        for threads in (1, 2):
            found = root.run(code, path=str(small[storage]), threads=threads)
            assert (
                found[0]
                == found[3]
                == pytest.approx(float(ak.sum(ak.values_astype(expected["Jet_pt"], float))), rel=1e-6)
            )
            assert found[1] == ak.sum(expected["nGenJet"])
            assert found[2] == pytest.approx(float(ak.sum(eta)), rel=1e-4, abs=1e-3)
            assert found[4] == 100


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("storage", ["ttree", "rntuple"])
def test_a_snapshot_holds_the_same(root, small, tmp_path, storage, threads):
    output, columns = tmp_path / "snapshot.root", ["event", "nJet", "Jet_pt", "Jet_mass", "MET_pt"]
    root.run(
        "df = frame(arguments['path'], arguments['threads'])\n"
        "df.Snapshot('Events', arguments['output'], arguments['columns'])",
        path=str(small[storage]),
        threads=threads,
        output=str(output),
        columns=columns,
    )
    expected = _expected([small[storage]], columns)
    with uproot.open(output) as file:
        found = {name: file["Events"][name].array() for name in columns}
    order = np.argsort(found["event"], kind="stable")
    expected_order = np.argsort(expected["event"], kind="stable")
    for name in columns:
        assert _bits(found[name][order]) == _bits(expected[name][expected_order]), name


def test_a_sample_is_named_by_its_file(root, small):
    code = """
df = frame(arguments["paths"], arguments["threads"])
df = df.DefinePerSample("of_first", 'rdfsampleinfo_.Contains("other.root") ? 0 : 1')
result = [df.Sum("of_first").GetValue(), df.Count().GetValue()]
"""
    other = small["ttree"].with_name("other.root")
    other.write_bytes(small["ttree"].read_bytes())
    for threads in (1, 2):
        assert root.run(code, paths=[str(small["ttree"]), str(other)], threads=threads) == [20_000, 40_000]


def test_only_what_is_touched_is_decoded(root, sample, tmp_path):
    """A damaged column is an error where it is touched, or what it is predicted from; the others are readable."""
    path = tmp_path / "damaged.root"
    hepae.compress_file(sample, path, hepae.BoundedCodec())
    with uproot.open(path) as file:
        names = [row.tobytes().split(b"\0") for row in file["hepae_payload"]["names"].array(library="np")]
        blobs = file["hepae_payload"]["blob"].array(library="np")
    mass = next(i for i, row in enumerate(names) if row[1] == b"mass")
    assert not any(b"mass" in row[2:] for row in names)
    content, data = blobs[mass].tobytes(), bytearray(path.read_bytes())
    place = data.find(content)
    assert place > 0
    data[place + len(content) // 2] ^= 1
    path.write_bytes(data)
    code = "result = frame(arguments['path'], 1).Sum(arguments['column']).GetValue()"
    root.run(code, path=str(path), column="Jet_phi")
    found = root.error(code, path=str(path), column="Jet_mass")
    assert found == (
        f"Jet of events 0 to 20000 of {path} are damaged ({path} is damaged: in its tree 'hepae_payload', checksum mismatch "
        "in column 'mass'); the others are readable"
    )


def _rewrite(path, output, change):
    """Write the trees of a file again, with a change that leaves all checksums as they were."""
    with uproot.open(path) as file:
        trees = {name: file[name].arrays(how=dict) for name in ("Events", "hepae", "hepae_payload")}
    change(trees)
    with uproot.recreate(output) as file:
        for name, arrays in trees.items():
            kept = {n: a for n, a in arrays.items() if n[1:] not in arrays}
            kinds = {n: getattr(ak.type(a), "content", None) or a.dtype for n, a in kept.items()}
            file.mktree(name, kinds, counter_name=lambda branch: f"n{branch}").extend(kept)


def _python_error(path):
    with pytest.raises(InputError) as raised, hepae.open(path) as file:
        file.jets()
    return str(raised.value)


def test_what_cannot_be_checked_is_refused_in_the_words_of_python(root, sample, codec, tmp_path):
    def refused(path):
        return root.error("result = frame(arguments['path'], 1).Sum('Jet_pt').GetValue()", path=str(path))

    def one_letter(trees):
        header = trees["hepae"]["header"][0].to_numpy().copy()
        header[100] ^= 1
        trees["hepae"]["header"] = byte_row(header.tobytes())

    def another_seed(trees):
        trees["hepae_payload"]["seed"] = trees["hepae_payload"]["seed"] + np.uint64(1)

    def moved_jets(trees):
        trees["Events"]["nJet"] = np.roll(trees["Events"]["nJet"], 1)

    def of_the_future(trees):
        header = trees["hepae"]["header"][0].to_numpy().tobytes()
        newer = header.replace(b'"format_version": 1', b'"format_version": 9')
        assert newer != header
        trees["hepae"] = _part_row(json.loads(newer), int(trees["hepae"]["entries"][0]), b"")

    good = tmp_path / "good.root"
    hepae.compress_file(sample, good, hepae.BoundedCodec(), entry_stop=500)
    for change in (one_letter, another_seed, moved_jets, of_the_future):
        damaged = tmp_path / f"{change.__name__}.root"
        _rewrite(good, damaged, change)
        assert refused(damaged) == _python_error(damaged)
    assert refused(sample) == f"{sample} is not a compressed file: it has no tree 'hepae'"
    assert refused(tmp_path / "none.root") == f"no such file: {tmp_path / 'none.root'}"
    text = tmp_path / "text.root"
    text.write_text("no ROOT file")
    assert "not a compressed file; hepae compress makes one" in refused(text)
    for bounds in (False, True):
        latent = tmp_path / "latent.root"
        chosen = codec.with_bounds(hepae.Bounds.parse({"pt": "1%"})) if bounds else codec
        hepae.compress_file(sample, latent, chosen, force=True, entry_stop=1000)
        assert f"hepae decompress {latent} -o" in refused(latent)


MORE_THAN_A_NUMBER = """
from array import array
hepae.rdataframe(arguments['small'])
file = ROOT.TFile(arguments['path'], "RECREATE")
tree, number, more = ROOT.TTree("tree", ""), array("i", [1]), array("i", [1] * 65)
tree.Branch("number", number, "number/I")
tree.Branch("several", more, "several/I:rest[64]/I")
tree.Branch("vector", ROOT.TVector2(1, 2))
tree.Fill()
tree.Write()
file.Close()
reader, result = ROOT.hepae.RootFile(arguments['path']), {}
for name in ("number", "several", "vector"):
    try:
        result[name] = str(reader.type("ttree", "tree", name))
    except ROOT.hepae.Error as error:
        result[name] = str(error.what()).partition("(")[2]
"""


def test_a_counter_that_holds_more_than_a_number_is_refused(root, small, tmp_path):
    found = root.run(MORE_THAN_A_NUMBER, small=str(small["ttree"]), path=str(tmp_path / "more.root"))
    assert found == {
        "number": "<i4",
        "several": "its counter 'several' is no branch of one integer an event)",
        "vector": "its counter 'vector' is no branch of one integer an event)",
    }


def test_files_that_do_not_go_together_are_refused(root, small, sample, tmp_path):
    other = tmp_path / "other.root"
    hepae.compress_file(sample, other, hepae.BoundedCodec(), entry_stop=100)
    found = root.error("frame(arguments['paths'], 1)", paths=[str(small["ttree"]), str(other)])
    assert found == f"{small['ttree']} and {other} cannot be read together: their collections differ"


def test_without_root_the_extra_is_named(monkeypatch, small):
    monkeypatch.setitem(sys.modules, "ROOT", None)
    import_module("hepae.files.rdataframe")._root.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install 'hepae\[root\]'"):
        hepae.rdataframe(small["ttree"])


GOLDEN = Path(__file__).parents[1] / "golden" / "v1"


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.root")))
def test_golden_files(root, name):
    """Those of each layout and storage with bounds have the bits of Python; the others are refused."""
    path = GOLDEN / f"{name}.root"
    if "bounded" in name:
        assert _same_bits(root, [path]) >= 4
    else:
        assert f"hepae decompress {path} -o" in root.error("frame(arguments['paths'], 1)", paths=[str(path)])


FLIPPED = """
hepae.rdataframe(arguments["path"])
columns, path, whole = arguments["columns"], arguments["path"], open(arguments["path"], "rb").read()

def read():
    chain = ROOT.hepae.CompressedChain(ROOT.std.vector["std::string"]([path]))
    decoded = chain.decoded(0, 0, 0)
    values = [decoded.values(name) for name in columns]
    return [bytes(value.bytes()[i] for i in range(8 * value.size())) for value in values]

expected, result = read(), []
for bit in arguments["bits"]:
    copy = bytearray(whole)
    copy[bit // 8] ^= 1 << bit % 8
    open(path, "wb").write(copy)
    try:
        result.append("right" if read() == expected else "wrong")
    except ROOT.hepae.Error:
        result.append("refused")
"""


def _offsets(path):
    """Where the rows of a file's payload begin and end; None where they cannot be decompressed."""
    with uproot.open(path) as file:
        try:
            return file["hepae_payload"]["blob"].basket(0).byte_offsets.tolist()
        except (ValueError, cramjam.DecompressionError):
            return None


def test_flipped_bits_of_rows_are_refused(root, tmp_path):
    """A few; `python analysis/every_bit_cpp.py FILE` flips each bit of a file.

    Those that move a row are left out: ROOT reads it from wherever it is said to be, and may crash.
    """
    path = tmp_path / "flipped.root"
    whole = (GOLDEN / "flat_bounded_ttree.root").read_bytes()
    path.write_bytes(whole)
    offsets = _offsets(path)
    with uproot.open(path) as file:
        branch = file["hepae_payload"]["blob"]
        start, size = (int(branch.member(name)[0]) for name in ("fBasketSeek", "fBasketBytes"))
        begin = start + branch.basket(0).member("fKeylen")
    bits = []
    for bit in np.linspace(8 * begin, 8 * (start + size) - 1, 50).astype(int).tolist():
        copy = bytearray(whole)
        copy[bit // 8] ^= 1 << bit % 8
        path.write_bytes(copy)
        if _offsets(path) in (None, offsets):
            bits.append(bit)
    path.write_bytes(whole)
    assert len(bits) > 30
    found = root.run(FLIPPED, path=str(path), columns=["pt", "eta", "phi", "mass", "E"], bits=bits)
    assert found.count("refused") > 20
    assert "wrong" not in found


def _sums(path):
    """Sum of nJet, and the events with a leading jet above 50 GeV."""
    found = _expected([path], ["nJet", "Jet_pt"])
    return f"{int(ak.sum(found['nJet']))} {int(ak.sum(ak.any(found['Jet_pt'][:, :1] > 50, axis=1)))}"


def test_two_lines_in_cling(small):
    executable = Path(import_module("importlib.util").find_spec("ROOT").origin).parent / "bin" / "root.exe"
    lines = f"""
.include {include_folder()}
#include "hepae.hpp"
auto df = hepae::FromFile("{small["ttree"]}");
auto hard = df.Filter("nJet > 0 && Jet_pt[0] > 50").Count();
std::cout << "found " << df.Sum<int>("nJet").GetValue() << " " << *hard << std::endl;
hepae::FromFile("none.root");
"""
    command = [executable, "-l", "-b", "-n"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=300, check=False)
    assert f"found {_sums(small['ttree'])}" in done.stdout, done.stderr
    assert "no such file: none.root" in done.stderr


PROGRAM = """
#include <hepae.hpp>
#include <iostream>
int main(int, char** arguments) {
  auto df = hepae::FromFile({arguments[1], arguments[2]});
  auto jets = df.Sum<int>("nJet");
  auto hard = df.Filter([](const ROOT::RVecF& pt) { return !pt.empty() && pt[0] > 50; }, {"Jet_pt"}).Count();
  std::cout << *jets << " " << *hard << std::endl;
  try {
    hepae::FromFile("none.root");
  } catch (const hepae::Error& error) {
    std::cout << error.what() << std::endl;
  }
}
"""


def test_a_compiled_program(small, tmp_path):
    home = Path(import_module("importlib.util").find_spec("ROOT").origin).parent
    config, compiler = home / "bin" / "root-config", shutil.which("g++")
    if compiler is None or not config.exists():
        pytest.skip("no g++ or no root-config: the reader is not compiled into a program")
    flags = subprocess.run([config, "--cflags", "--libs"], capture_output=True, text=True, check=True).stdout
    # the wheel's root-config names folders of the machine that made it
    flags = flags.replace("mock_site_packages/ROOT/", "").split()
    source, program = tmp_path / "program.cpp", tmp_path / "program"
    source.write_text(PROGRAM)
    command = [compiler, "-O1", "-Wall", "-Wextra", "-Werror", f"-I{include_folder()}", source, *flags]
    command += [f"-Wl,-rpath-link,{home.parent / 'root.libs'}", "-o", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    paths = [small["ttree"], small["ttree"]]
    found = subprocess.run([program, *paths], capture_output=True, text=True, timeout=300, check=True).stdout
    twice = " ".join(str(2 * int(number)) for number in _sums(small["ttree"]).split())
    assert found.splitlines()[-2:] == [twice, "no such file: none.root"]


def test_the_page_runs(root, small):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    entries = root.run(f"{block}\nresult = histogram.GetEntries()".replace("small.root", str(small["ttree"])))
    jets = _expected([small["ttree"]], ["Jet_pt"])["Jet_pt"]
    assert entries == ak.sum((ak.num(jets) > 1) & ak.fill_none(ak.firsts(jets) > 100, False))


def test_plain_root_reads_the_restored_file(root, small, tmp_path):
    """TTree::Draw on what hepae decompress writes, and RDataFrame on what it reads, are the same histogram."""
    back = tmp_path / "back.root"
    hepae.decompress_file(small["ttree"], back)
    code = """
file = ROOT.TFile.Open(arguments["back"])
drawn = ROOT.TH1D("drawn", "", 50, 0, 500)
file.Get("Events").Draw("Jet_pt>>drawn", "nJet > 1", "goff")
drawn = ROOT.gDirectory.Get("drawn")
filled = frame(arguments["small"], 1).Filter("nJet > 1").Histo1D(("filled", "", 50, 0, 500), "Jet_pt")
result = [[h.GetBinContent(i) for i in range(52)] for h in (drawn, filled)]
"""
    drawn, filled = root.run(code, back=str(back), small=str(small["ttree"]))
    assert drawn == filled
    assert sum(drawn) > 10_000


FILES = {
    "all_jets_test_4D_100_percent.pkl": {},
    "darkmachines_monojet.csv": {"collection": "*"},
    "darkmachines_monojet.pkl": {},
    "delphes.root": {"keep": ["Event.Weight"], "drop_unreadable": True},
    "flat_pxpypzE_ww.root": {},
    "jets_9columns.h5": {},
    "nanoaod_cms_open_data_2012_singlemu.root": {"keep": ["event", "MET_pt"], "collection": "*"},
    "nanoaod_cms_open_data_2015_ttbar.root": {"keep": ["event", "MET_pt"]},
    "nanoaod_dimuon_rntuple.root": {"keep": ["event"], "collection": "*"},
    "nanoaod_tt_v12.root": {"keep": ["event", "MET_pt"], "collection": ["Jet", "FatJet", "Muon"]},
    "physlite_rntuple.root": {"tree": "EventData", "keep": ["index_ref"], "drop_unreadable": True},
    "physlite_ttbar.root": {"keep": ["EventInfoAux.eventNumber"], "drop_unreadable": True},
    "pythia_dijets.root": {"step_size": 20_000},
    "pythia_jets_18columns.root": {},
    "scalar_jet_per_row.root": {},
    "tlorentzvector_objects.root": {"collection": "*"},
    "xaod_exot15.root": {
        "collection": "AntiKt4EMTopoJets",
        "keep": ["EventInfoAux.eventNumber"],
        "drop_unreadable": True,
    },
}
"""Files with jets, and how to compress them with few other branches."""


@pytest.mark.parametrize("name", FILES)
def test_all_columns_of_real_files(root, data, tmp_path, name):
    for storage in ("ttree", "rntuple"):
        path = tmp_path / f"{storage}.root"
        hepae.compress_file(data / name, path, hepae.BoundedCodec(), storage=storage, **FILES[name])
        _same_bits(root, [path], threads=2)
