"""The benchmarks of ``analysis``, each on little input: what must hold whatever the machine."""

from __future__ import annotations

import importlib
import random
import re
import signal
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from click.testing import CliRunner
from PIL import Image

import hepae
from hepae.bounds import Bound, Bounds
from hepae.io.readers import open_source

pytest.importorskip("pysz", reason="the benchmarks compare with SZ3 (extra bench)")
pytest.importorskip("zfpy", reason="the benchmarks compare with zfp (extra bench)")

GOLDEN = Path(__file__).parent / "golden" / "v1"


@pytest.fixture
def script(monkeypatch):
    """Import a script or module of ``analysis`` by its name."""
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "analysis")
    return importlib.import_module


def run(command, *arguments):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def table(output):
    """Cells of the printed rows, by the first one."""
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")] for line in output.splitlines() if "│" in line
    ]
    return {name: cells for name, *cells in rows}


def drawn(path):
    """Whether a figure has more than paper on it."""
    with Image.open(path) as image:
        return image.format == "PNG" and min(image.size) > 300 and len(image.convert("L").getcolors()) > 20


@pytest.fixture
def few(script, sample):
    """Jets of the bundled sample's first events, at the standard bounds."""
    jets = script("benchmarks.jets")
    columns, counts = jets.read(sample, jets.FOUR)
    counts = counts[:6000]
    bounds = Bounds.parse(script("benchmark_rate").BOUNDS["standard"]).in_unit("GeV")
    return jets.Jets({name: values[: counts.sum()] for name, values in columns.items()}, counts, bounds)


@pytest.fixture
def small_file(few, make_tree):
    """The first 500 events in a file, with the number of the event beside them."""
    arrays = {f"Jet_{name}": few.listed(values)[:500] for name, values in few.columns.items()}
    return make_tree({"event": np.arange(500), **arrays}, counters=dict.fromkeys(arrays, "nJet"))


def test_every_way_holds_the_bounds_and_ours_is_smallest(script, few, codec):
    measure = script("benchmarks.measuring").measure
    ways = script("benchmark_rate").ways(few, codec)
    measured = {name: measure(store, few) for name, (_, store) in ways.items()}
    promising = [name for name, (promise, _) in ways.items() if promise != "nothing"]
    assert len(promising) == 14
    assert {name: measured[name].beyond for name in promising} == dict.fromkeys(promising, 0.0)
    assert measured["latents, 10 bits, ROOT, ZSTD-9"].beyond > 0.5
    sizes = {name: found.size for name, found in measured.items()}
    assert min(sizes, key=sizes.get) == "hepae, payload"
    assert sizes["SZ3"] < sizes["truncated, ROOT, LZMA-9"] < sizes["float32, ROOT, LZMA-9"]
    assert sizes["hepae, whole file"] < 0.8 * sizes["truncated, ROOT, LZMA-9"]


def test_beyond_finds_what_breaks_a_bound(script):
    beyond = script("benchmarks.jets").beyond
    angle, half = Bound(absolute=0.01), np.float32(np.pi)
    original = np.array([half, 1, 1, np.nan, np.inf, -np.inf], np.float32)
    restored = np.array([-half, 1.009, 1.011, np.nan, np.inf, 1e38], np.float32)
    assert beyond("phi", original, restored, angle).tolist() == [False, False, True, False, False, True]
    assert beyond("eta", original, restored, angle).tolist() == [True, False, True, False, False, True]
    assert beyond("eta", original, original + np.float32(1e-6), Bound(exact=True))[0]


@pytest.mark.parametrize("text", ["0.1%", "0.001", "3%+0.01"])
def test_truncation_keeps_as_few_bits_as_hold_the_bound(script, text):
    bound = Bound.parse(text)
    values = np.random.default_rng(1).normal(0, 10, 5000).astype(np.float32)
    cut = script("benchmarks.peers").truncated(values, bound)
    errors = np.abs(cut.astype(float) - values) / bound.allowed(values)
    assert errors.max() <= 1
    zeros = int(np.bitwise_or.reduce(cut.view(np.uint32)))
    dropped = (zeros & -zeros).bit_length() - 1
    coarser = np.round(values / np.exp2(np.floor(np.log2(np.abs(values))) - 23 + dropped + 1)) * np.exp2(
        np.floor(np.log2(np.abs(values))) - 23 + dropped + 1
    )
    assert np.any(np.abs(coarser - values) > bound.allowed(values))


def test_a_way_that_holds_some_bounds_only_has_a_gap_in_the_table(script, capsys):
    rate, measured = (
        script("benchmark_rate"),
        script("benchmarks.measuring").Measured(100, (1, 1), (1, 1), 0.0),
    )
    names = ("hepae, payload", "hepae, whole file")
    every = dict.fromkeys(rate.BOUNDS, measured)
    rate.show(
        "jets",
        50,
        {**dict.fromkeys(names, every), "SZ3": {"loose": measured}},
        dict.fromkeys([*names, "SZ3"], ""),
    )
    output = capsys.readouterr().out
    assert table(output)["SZ3"][:4] == ["2.000", "–", "–", "–"]
    assert "hepae, payload ÷ SZ3: 1.000 (loose)\n" in output


def test_half_precision_holds_the_bounds_of_its_name(script, few):
    rate, measure = script("benchmark_rate"), script("benchmarks.measuring").measure
    half_precision = script("benchmarks.root_files").half_precision
    for label, within in (("half", True), ("tight", False)):
        bounds = Bounds.parse(rate.BOUNDS[label]).in_unit("GeV")
        jets = script("benchmarks.jets").Jets(few.columns, few.counts, bounds)
        assert (measure(half_precision(jets), jets).beyond == 0) == within


@pytest.mark.root
def test_lossy_fields_of_root_hold_the_bounds(script, few):
    measure, real32 = script("benchmarks.measuring").measure, script("benchmarks.real32").real32
    cut, quantized = (measure(real32(few, quantized=choice), few) for choice in (False, True))
    assert cut.beyond == quantized.beyond == 0
    assert quantized.size < cut.size < 16 * few.length
    exact = script("benchmarks.jets").Jets(few.columns, few.counts, Bounds({"pt": Bound(exact=True)}))
    assert real32(exact, quantized=True) is None


def test_lossy_fields_take_as_few_bits_as_hold_the_bound(script):
    real32 = script("benchmarks.real32")
    values = np.random.default_rng(1).uniform(-5, 5, 20_000).astype(np.float32)
    bound = Bound.parse("0.001")
    bits, low, high = real32.quantized_bits(values, bound)
    assert (high - low) / (2**bits - 1) / 2 <= 0.001 < (high - low) / (2 ** (bits - 1) - 1) / 2
    assert real32.truncated_bits(values, Bound.parse("0.1%")) == 1 + 8 + 10
    assert real32.truncated_bits(values, Bound(exact=True)) is None
    assert real32.quantized_bits(np.append(values, np.float32(0)), Bound.parse("0.1%")) is None


def test_rate_prints_a_table_and_draws_a_figure(script, small_file, tmp_path):
    output = run(script("benchmark_rate").main, small_file, "--epochs", 0, "--figure", tmp_path / "rate.png")
    cells = table(output)
    assert {cells[name][-1] for name in cells if name != "float16, ROOT, LZMA-9"} == {
        "0 %"
    }  # no value is beyond its bound
    loose, standard, half, tight = map(float, cells["hepae, payload"][:4])
    assert loose < standard < half < tight
    assert "Real32Trunc and Real32Quant are left out: ROOT is not here" in output
    (ratios,) = re.findall(r"hepae, payload ÷ SZ3: ([\d.]+) \(loose\), ([\d.]+) \(standard\)", output)
    expected = [ours / float(theirs) for ours, theirs in zip((loose, standard), cells["SZ3"], strict=False)]
    assert [*map(float, ratios)] == pytest.approx(expected, abs=2e-3)
    assert drawn(tmp_path / "rate.png")
    exact = table(run(script("benchmark_rate").main, small_file, "--others", "exact", "--bound", "pt=1%"))
    assert float(exact["hepae, payload"][0]) < float(exact["pcodec, each column alone"][0])
    assert "SZ3" not in exact  # it cannot keep every bit


def test_dither_leaves_to_a_spectrum_what_migration_makes(script):
    spectra = script("benchmark_spectra")
    spectrum = spectra.Spectrum(values=600_000, power=6.0, seed=1)
    bound = Bound(relative=1e-3)
    truth, results = spectra.compare(spectrum, bound)
    full = truth.entries["6 %"] >= 60_000
    expected = spectra.rms(spectrum.migrated("6 %", bound)[full])
    shifts = {name: spectra.rms(found.shift(truth, "6 %")[full]) for name, found in results.items()}
    assert full.sum() >= 3
    assert shifts["hepae"] < 3 * expected
    for other in ("hepae without dither", "SZ3", "mantissa truncation"):
        assert shifts[other] > 10 * expected
    assert results["hepae, edges at the cuts"].crossed.sum() == 0
    crossing = spectrum.migrating(spectra.CUTS, bound)
    assert np.all(np.abs(results["hepae"].crossed - crossing) < 5 * np.sqrt(crossing) + 3)


def test_migration_is_what_uniform_errors_make(script):
    spectra = script("benchmark_spectra")
    spectrum = spectra.Spectrum(values=1_000_000, power=4.0, seed=3)
    bound = Bound(relative=0.01, absolute=0.1)
    pt = np.concatenate(list(spectrum.chunks())).astype(float)
    assert len(pt) == 1_000_000
    assert pt.min() >= spectra.LOWEST * (1 - 1e-6)
    moved = pt + np.random.default_rng(4).uniform(-1, 1, len(pt)) * bound.allowed(pt)
    crossed = [np.count_nonzero((pt >= cut) != (moved >= cut)) for cut in spectra.CUTS]
    assert crossed == pytest.approx(spectrum.migrating(spectra.CUTS, bound), rel=0.1)


def test_spectra_print_a_table_and_draw_a_figure(script, tmp_path):
    output = run(script("benchmark_spectra").main, "--values", 20_000, "--figure", tmp_path / "spectra.png")
    cells = {name: [float(cell) for cell in row] for name, row in table(output).items()}
    assert cells["hepae"][0] < cells["hepae without dither"][0] / 3  # rms shift of the bins
    assert cells["hepae"][0] < 3 * cells["migration alone"][0]
    assert cells["hepae, edges at the cuts"][4:] == [0, 0, 0, 0]  # jets across a cut
    assert sum(cells["hepae"][4:]) > 0
    assert drawn(tmp_path / "spectra.png")


def test_speed_compares_the_same_jets(script, small_file, tmp_path):
    speed = script("benchmark_speed")
    once = len(ak.flatten(hepae.read_jets(small_file, unit="GeV")))
    assert speed.repeated(small_file, 2 * once + 10, tmp_path / "twice.root") == 2 * once
    speed.copy_jets(tmp_path / "twice.root", tmp_path / "copy.root", "lzma:9", 300)
    with uproot.open(small_file) as original, uproot.open(tmp_path / "copy.root") as copy:
        names = copy["Events"].keys()
        assert set(names) == {"nJet", "Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"}
        expected, found = original["Events"].arrays(names), copy["Events"].arrays(names)
    assert ak.array_equal(ak.concatenate([expected, expected]), found)


def test_speed_prints_ratios_of_every_pair(script, small_file):
    speed = script("benchmark_speed")
    output = run(speed.main, small_file, "--jets", 1, "--turns", 1)
    for ours, theirs in speed.PAIRS.items():
        assert ours in output
        assert theirs in output
    assert all(re.search(rf"{name}[^│]*│ +[\d.]+ │", output) for name in ("hepae", "SZ3", "pcodec"))
    assert re.search(r"one column of 4 in .*: [\d.]+ × the time and 0\.[\d]+ × the bytes of all", output)


@pytest.mark.long
@pytest.mark.root
def test_rdataframe_prints_ratios_of_every_way(script, small_file, monkeypatch):
    benchmark = script("benchmark_rdataframe")
    if not script("benchmarks.cpp").has_compiler():
        pytest.skip("no C++ compiler: the C++ reader cannot be timed")
    monkeypatch.setattr(benchmark, "THREADS", (2,))
    output = run(benchmark.main, small_file, "--jets", 1, "--turns", 1)
    for name in ("C++", "Python", "SZ3", "dijet mass with RDataFrame"):
        assert name in output


def test_hostile_values_keep_bounds_repeats_and_edges(script):
    output = run(script("hostile_values").main, "--values", 200_000, "--jets", 2000)
    # in memory and in files of both units; with few hostile values, more and many
    assert "3 rounds" in output
    cells = table(output)
    assert {"pt", "mass", "double_exact", "flag", "mass of px, py, pz, E"} <= {*cells}
    assert {tuple(row[-3:]) for row in cells.values()} == {("0", "0", "0")}  # bounds, repeated values, edges
    values = {name: int(row[2].replace(",", "")) for name, row in cells.items()}
    assert values.pop("all") == sum(values.values()) >= 200_000
    assert cells["pt"][3] != "100.0%"  # of the values some were changed


@pytest.mark.slow
def test_every_kind_of_grid_holds_its_bound_for_any_float32(script, tmp_path):
    """Twenty-five million values; `python analysis/every_float.py` takes all patterns there are."""
    every_float, state = script("every_float"), tmp_path / "state.jsonl"
    wanted = ("--sample", 9 * every_float.BLOCK, "--state", state)
    cells = table(run(every_float.main, *wanted))
    assert len(state.read_text().splitlines()) == 9
    values, on_grid, *_ = np.sum(list(every_float.blocks_done(state).values()), axis=0).T
    assert values.sum() > 25_000_000
    assert on_grid[0] > 0.9 * values[0]  # of pt: few values are kept as they are
    lines = state.read_text().splitlines(keepends=True)
    state.write_text("".join(lines[:8]) + lines[8][:9])  # stopped there
    assert table(run(every_float.main, *wanted)) == cells


def test_a_broken_bound_is_found(script, monkeypatch):
    every_float = script("every_float")
    quantize = every_float.quantize
    monkeypatch.setattr(every_float, "quantize", lambda *asked: _one_step_off(quantize(*asked)))
    block = np.float32(30).view(np.uint32) // every_float.BLOCK
    _, _, broken, crossed, _ = every_float.check(every_float.Kind("pt", "0.1%", (30.1,)), int(block))
    assert broken >= 1
    assert crossed >= 1


def _one_step_off(quantized):
    quantized.integers += 1
    return quantized


def test_judge_finds_failures(script):
    judge, column = script("benchmarks.judging").judge, script("benchmarks.hostile").Column
    asked = column(np.dtype(np.float32), "1%+1MeV", (0.0, 30.0))
    original = np.array([29.9, 10, 0, -999, np.nan, -0.0, 5e-4] + [7.5] * 93, np.float32)
    assert not judge(asked, original, original).any
    restored = original.copy()
    restored[:7] = 30.0, 10.2, 1e-4, -998, 1, 0.0, 1e-3
    failures = judge(asked, original, restored)
    assert (failures.bound, failures.repeated, failures.edges) == (2, 3, 3)
    restored = original.copy()
    restored[10] = 7.5001
    assert judge(asked, original, restored).repeated == 1
    assert judge(column(np.dtype(np.float32), "exact"), original, restored).bound == 1


def test_judge_of_four_momenta_finds_failures(script):
    hostile = script("hostile_values")
    before = {"px": [20.0, 0.0], "py": [0.0, 3.0], "pz": [1.0, 0.0], "E": [30.0, 4.0]}
    before = {name: np.array(values) for name, values in before.items()}
    assert not any(found.any for found in hostile.judge_form(before, before).values())
    after = {**before, "E": np.array([30.9, 4.0]), "px": np.array([19.999, 1e-9])}
    found = hostile.judge_form(before, after)
    assert (found["mass"].bound, found["pt"].bound, found["pt"].edges) == (
        2,
        0,
        1,
    )  # in float64 and in long double
    assert found["px"].repeated == 1


def test_memory_is_measured_for_each_size(script):
    benchmark = script("benchmark_memory")
    lines = [line for line in run(benchmark.main, "--size", "3 MB").splitlines() if "20,000" in line]
    cells = [cell.strip() for cell in lines[0].strip("│").split("│")]
    assert cells[0] == "0.02 GB"  # one round of the sample is the smallest
    for peak in (cells[5], cells[9]):
        assert 100 < float(peak.removesuffix(" MB")) < 1000


def test_whole_files_come_back_within_bounds(script, sample, tmp_path):
    benchmark = script("benchmark_files")
    small, tight, back = (tmp_path / f"{name}.root" for name in ("small", "tight", "back"))
    hepae.compress_file(sample, small, hepae.BoundedCodec({"*": "0.1%"}), collection="*")
    hepae.compress_file(sample, tight, hepae.BoundedCodec({"Jet.pt": "0.01%"}), collection="*")
    hepae.decompress_file(small, back)
    with open_source(sample) as original, uproot.open(back) as restored:
        found = benchmark.check(original, restored, small)
        assert found.bounded + found.exact == len(original.branches)
        assert found.violations == 0
        with uproot.open(sample) as unchanged:
            assert benchmark.check(original, unchanged, small).violations == 0
        jets = len(ak.flatten(hepae.read_jets(sample)))
        assert 0.5 * jets < benchmark.check(original, restored, tight).violations < jets


def test_whole_files_beside_lzma(script, sample):
    row = next(line for line in run(script("benchmark_files").main, sample).splitlines() if "dijets" in line)
    _, before, lzma, ours, ratio, *_, violations, unread = (
        cell.strip() for cell in row.strip("│").split("│")
    )
    assert float(ours) < 0.7 * float(lzma) < float(before)
    assert float(ratio) == pytest.approx(float(ours) / float(lzma), abs=1e-3)
    assert (violations, unread) == ("0", "0")


def test_branches_that_pass_through_are_repeated(script, sample, tmp_path):
    benchmark = script("benchmark_files")
    with open_source(sample) as source:
        benchmark.widen(source, tmp_path / "wide.root", 50)
        with open_source(tmp_path / "wide.root") as wide:
            assert len(wide.branches) == 50
    benchmark.uproot_alone(tmp_path / "wide.root", tmp_path / "copy.root")
    with uproot.open(tmp_path / "wide.root") as one, uproot.open(tmp_path / "copy.root") as other:
        assert ak.all(one["Events/Jet_pt_again2"].array() == other["Events/Jet_pt_again2"].array())


def test_jets_of_many_columns(script):
    assert "50 columns of 1042 jets" in run(script("benchmark_files").main, "--columns", 50, "--turns", 1)


def test_each_idea_of_the_prediction_saves_bytes(script):
    found = dict(re.findall(r"│ (\w+)[^│]*│ ([\d.]+)", run(script("benchmark_ideas").main)))
    sizes = {name: float(size) for name, size in found.items()}
    assert {*sizes} == {"none", "anchors", "fits", "groups", "all"}
    assert sizes["all"] < min(sizes[name] for name in ("anchors", "fits", "groups"))
    assert max(sizes[name] for name in ("anchors", "fits", "groups")) < sizes["none"]


def test_analyses_of_a_compressed_file_find_what_those_of_the_original_find(script, sample, tmp_path):
    jobs, analyses = script("benchmark_jobs"), script("benchmarks.analyses")
    hepae.compress_file(sample, tmp_path / "small.root", hepae.BoundedCodec())
    for processor, allowed in ((jobs.Met(), 0), (analyses.Pt(), 0.001), (jobs.Jets(), 0.01)):
        _, before = jobs.analyse(sample, processor, 9000)
        _, after = jobs.analyse(tmp_path / "small.root", processor, 9000)
        assert before != 0
        assert (after == before) == (allowed == 0)
        assert abs(after - before) <= allowed * abs(before)


def test_inference_compares_the_same_numbers(script, codec):
    benchmark = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed") and script(
        "benchmark_inference"
    )
    calls = benchmark.operations(codec, 5000)
    for part, names in (("encoder", codec.latent_names), ("decoder", codec.columns)):
        ours, theirs = calls[part]["torch"](), calls[part]["onnxruntime"]()
        assert theirs.shape == (5000, len(names))
        for name, column in zip(names, theirs.T, strict=True):
            np.testing.assert_allclose(column, ak.to_numpy(ours[name]), rtol=1e-4, atol=1e-4)


def test_inference_prints_a_ratio_of_each_part(script, codec, tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    codec.save(tmp_path / "m.safetensors")
    output = run(script("benchmark_inference").main, tmp_path / "m.safetensors", "--jets", 5000, "--turns", 1)
    assert re.search(r"16-8-3, 5000 jets", output)
    assert len(re.findall(r"^(?:encoder|decoder) .*jets/s .*jets/s .* × \(", output, re.MULTILINE)) == 2


def test_damaged_copies_are_refused_or_right(script, sample, tmp_path):
    """The script ends with status 1 where one is not: `run` asserts that it does not."""
    hepae.compress_file(sample, tmp_path / "small.root", hepae.BoundedCodec(), entry_stop=100)
    output = run(script("mutations").main, tmp_path / "small.root", "--count", 12)
    assert output.count("small.root") >= 2  # uniform and targeted damage


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("flat_*.root")), ids=lambda path: path.stem)
def test_flipped_bits_are_refused_or_change_nothing(script, path):
    """A few bits of each codec and storage; `python analysis/mutations.py FILE --every-bit` flips all."""
    mutations = script("mutations")
    places = mutations.every_place(path, ("jets",))
    assert len(places) > 8 * 5000
    counts = mutations.read_damaged(path, random.Random(path.stem).sample(places, 12), ("jets",))
    assert counts["jets", "refused"] > 0
    assert counts["jets", "refused"] + counts["jets", "right"] == 12


def test_baskets_that_contradict_their_branch_are_refused(script):
    """Bits of the number of entries in the basket of the payload's rows: uproot's error became a traceback."""
    mutations, path = script("mutations"), GOLDEN / "flat_bounded_ttree.root"
    whole = path.read_bytes()
    places = [(at, whole[at] ^ 1 << bit) for at in (5671, 5907) for bit in range(8)]
    assert mutations.read_damaged(path, places, ("jets",)) == {("jets", "refused"): 16}


def test_a_wrong_value_without_a_word_is_counted(script, monkeypatch):
    mutations, path = script("mutations"), GOLDEN / "flat_bounded_ttree.root"
    places = mutations.every_place(path, ("jets",))
    monkeypatch.setattr("hepae.files.payload.PayloadReader._check", lambda *_: None)
    rows = {*mutations.targets(path)}
    blobs = [place for place in places if place[0] in rows]
    assert mutations.read_damaged(path, blobs[::300], ("jets",))["jets", "wrong"] > 0


def test_the_codec_is_explained_in_two_figures(script, tmp_path):
    """Of values on a fixed grid whole bins are lost or doubled; the dither leaves migration alone."""
    explain = script("explain_codec")
    run(explain.main, tmp_path, "--values", 200_000)
    assert {path.name for path in tmp_path.iterdir()} == {"codec_dither.png", "codec_prediction.png"}
    assert all(drawn(path) for path in tmp_path.iterdir())
    pt = np.random.default_rng(1).uniform(96, 108, 100_000)
    found = explain.by_grid(pt)
    bins = {name: np.histogram(values, 12, (97, 107))[0] for name, values in found.items()}
    assert bins["fixed grid"].max() > 2 * bins["fixed grid"].mean()
    assert bins["dithered grid"].max() < 1.1 * bins["dithered grid"].mean()
    for values in found.values():
        assert (abs(values - pt) <= 0.01 * pt).all()


@pytest.mark.slow
def test_a_killed_command_leaves_nothing_partial(script, sample, tmp_path):
    faults = script("faults")
    (tmp_path / "jets.root").write_bytes(sample.read_bytes())
    command = faults.commands()["compress"]
    counts = faults.torture(command, tmp_path, signal.SIGKILL, 1, "compress")
    assert counts["killed"] + counts["ended before"] == counts["output absent"] + counts["complete"] == 1
    assert not any(counts[name] for name in faults.BAD)


def test_a_partial_output_is_found(script, sample, tmp_path):
    faults, counts = script("faults"), Counter()
    (tmp_path / "jets.root").write_bytes(sample.read_bytes())
    half = (
        f"open('small.root', 'wb').write(open({str(sample)!r}, 'rb').read(1000)); import time; time.sleep(60)"
    )
    command = replace(faults.commands()["compress"], words=(sys.executable, "-c", half))
    faults.killed(command, tmp_path, signal.SIGKILL, 1.0, counts)
    assert (counts["killed"], counts["partial"], counts["input changed"]) == (1, 1, 0)


def test_repeated_jets_differ_and_event_numbers_go_on(script, sample, tmp_path):
    load = script("load")
    count = load.generate(tmp_path / "jets.root", 100_000)
    with uproot.open(tmp_path / "jets.root") as file:
        events = file["Events"].arrays(["event", "Jet_pt", "Jet_phi", "Jet_mass"])
    assert count == ak.count(events.Jet_pt) == 2 * ak.count(hepae.read_jets(sample).pt)
    first, second = events[:20_000], events[20_000:]
    assert len(np.unique(events.event)) == 40_000
    assert not ak.any(first.Jet_pt == second.Jet_pt)
    assert not ak.any(first.Jet_phi == second.Jet_phi)
    assert ak.all(abs(events.Jet_phi) <= np.float32(np.pi))
    assert ak.all(np.isclose(second.Jet_mass * first.Jet_pt, first.Jet_mass * second.Jet_pt, rtol=1e-5))


def test_a_steps_memory_has_that_of_its_children(script, tmp_path):
    child = "import time; held = bytearray(300_000_000); time.sleep(1)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    step = script("load").measure(["-c", parent], tmp_path)
    assert 300 < step.memory < 400
    assert step.wall > 1


def test_files_of_killed_workers_are_compared_to_the_bit(script, tmp_path):
    load = script("load")
    (fileset,) = load.many_files(tmp_path, 3, 10).values()
    one, other = (tmp_path / f"{name}.root" for name in ("one", "other"))
    hepae.compress_file([*fileset["files"]], one, hepae.BoundedCodec())
    hepae.compress_file([*fileset["files"]], other, hepae.BoundedCodec({"pt": "0.2%"}))
    assert load.content(one) == load.content(one)
    differing = {key for key, found in load.content(one).items() if found != load.content(other)[key]}
    assert ("hepae_payload", "blob") in differing
    assert ("Events", "event") not in differing


def test_a_mutant_is_more_than_another_annotation(script):
    code = script("mutants").code
    source = "def double(x: int | None) -> int:\n    y: int = 2 * x\n    return y\n"
    assert code(source) == code(
        source.replace("|", "+").replace("-> int", "-> float").replace("y: int", "y: str")
    )
    assert code(source) != code(source.replace("2 *", "3 *"))
