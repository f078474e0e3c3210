from __future__ import annotations

import json
import re

import awkward as ak
import numpy as np
import pytest
import uproot
from matplotlib.text import Text

import hepae
from hepae import comparison
from hepae.bounds import DEFAULT_BOUNDS
from hepae.comparison import compare_files
from hepae.errors import InputError, OutputError
from hepae.io.layouts import Branch
from hepae.io.readers import open_source
from hepae.io.writers import TreeWriter
from hepae.validation.canvas import Style
from hepae.validation.report import Shown

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of some files here is told by their values, which test_inputs.py is about."""

KEYS = {"unit", "max_abs", "max_rel", "mean", "median", "std", "p68", "p99", "violations", "non_finite"}
BYTES = {"file_original", "file_compressed", "original", "compressed", "per_jet", "ratio"}


@pytest.fixture(scope="module")
def files(sample, codec, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    hepae.compress_file(sample, folder / "small.root", codec)
    return folder


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """Jets one a row, and two versions of them: one restored, one that lost a little of everything."""
    folder = tmp_path_factory.mktemp("flat")
    rng = np.random.default_rng(5)
    pt = 20e3 + rng.exponential(3e4, 3000)
    columns = {
        "pt": pt,
        "eta": rng.normal(0, 1.5, 3000),
        "phi": rng.uniform(-3.1, 3.1, 3000),
        "m": pt * rng.uniform(0.05, 0.2, 3000),
        "multiplicity": rng.poisson(12, 3000).astype(np.int32),
    }
    noisy = {name: values * (1 + 1e-3 * rng.normal(size=3000)) for name, values in columns.items()}
    noisy["multiplicity"] = columns["multiplicity"]
    for name, arrays in (("original", columns), ("noisy", noisy)):
        with uproot.recreate(folder / f"{name}.root") as file:
            TreeWriter(file, "Events", [Branch(key, of.dtype) for key, of in arrays.items()]).extend(
                {key: ak.Array(of) for key, of in arrays.items()}
            )
    hepae.compress_file(folder / "original.root", folder / "small.root", hepae.BoundedCodec())
    return folder


@pytest.fixture(scope="module")
def compared(sample, files):
    return compare_files(sample, files / "small.root", files / "out", style=Style())


def _strict(text):
    """JSON as other languages read it: without NaN and Infinity."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_metrics_are_the_residuals_of_the_whole_arrays(sample, files, compared):
    metrics = _strict((files / "out" / "metrics.json").read_text())
    assert metrics == compared.metrics
    assert metrics.keys() == {"jets", "events", "columns", "bytes"}
    with hepae.open(files / "small.root") as file:
        expected = hepae.residuals(hepae.read_jets(sample), file.jets())
    assert metrics["jets"] == 52_385
    assert metrics["events"] == 20_000
    assert list(metrics["columns"]) == ["pt", "eta", "phi", "mass", "E"]
    for name, column in metrics["columns"].items():
        assert column.keys() == KEYS
        assert column["violations"] is None
        assert (column["max_rel"] is None) == (name in ("eta", "phi"))
        for key in ("mean", "median", "std", "p68", "p99", "max_abs"):
            assert column[key] == pytest.approx(getattr(expected[name], key), rel=1e-3, abs=1e-6)
    sizes = metrics["bytes"]
    assert sizes.keys() == BYTES
    assert sizes["file_original"] == sample.stat().st_size
    assert sizes["file_compressed"] == (files / "small.root").stat().st_size
    assert 12 * 52_385 < sizes["compressed"] < 15 * 52_385
    assert sizes["per_jet"] == sizes["compressed"] / 52_385


def test_figures_of_each_kind_as_png_and_pdf(files, compared):
    names = {path.stem for path in compared.figures}
    assert names == {
        *(f"{c}{kind}" for c in ("pt", "eta", "phi", "mass", "E") for kind in ("", "_residual")),
        *(f"{c}_against_{other}" for c in ("pt", "eta", "phi", "mass") for other in ("pt", "eta")),
        *("multiplicity", "ht", "missing_ht", "leading_pt", "dijet_mass", "delta_r", "cut_flow"),
        *("tails", "turn_on", "pt_response_by_eta", "correlations", "largest", "latents", "bytes"),
    }
    assert len(compared.figures) == 2 * len(names)
    assert {*compared.figures} == {path for path in (files / "out").iterdir() if path.suffix != ".json"}
    assert compared.report is None
    for path in compared.figures:
        assert path.read_bytes()[:4] == {".png": b"\x89PNG", ".pdf": b"%PDF"}[path.suffix]


def test_steps_change_neither_numbers_nor_figures(sample, files, compared, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "STEP_JETS", 3000)
    done = []
    again = compare_files(
        sample, files / "small.root", tmp_path, style=Style(), progress=lambda *at: done.append(at)
    )
    assert again.metrics == compared.metrics
    for path in compared.figures:
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name
    assert len(done) > 15
    assert done[-1] == (20_000, 20_000)


def test_several_versions_side_by_side(flat, tmp_path):
    paths = [flat / "small.root", flat / "noisy.root"]
    result = compare_files(flat / "original.root", paths, tmp_path, style=Style(), unit="MeV", report=True)
    assert result.metrics.keys() == {"versions"}
    small, noisy = result.metrics["versions"]
    for metrics, path in zip((small, noisy), paths, strict=True):
        assert metrics.keys() == {"file", "jets", "events", "columns", "bytes"}
        assert metrics["file"] == str(path)
        assert list(metrics["columns"]) == ["pt", "eta", "phi", "mass", "E", "multiplicity"]
        assert all(column.keys() == KEYS for column in metrics["columns"].values())
        assert metrics["bytes"]["file_compressed"] == path.stat().st_size
    original, restored = (
        hepae.read_jets(flat / f"{name}.root", unit="MeV") for name in ("original", "noisy")
    )
    assert noisy["columns"] == hepae.residuals(original, restored).to_dict()["columns"]
    promised = [name for name, column in small["columns"].items() if column["violations"] == 0]
    assert promised == ["pt", "eta", "phi", "mass", "multiplicity"]
    assert all(column["violations"] is None for column in noisy["columns"].values())
    assert small["bytes"]["original"] == noisy["bytes"]["original"]
    names = {path.stem for path in result.figures}
    assert {"correlations_small", "correlations_noisy", "largest_small", "pt_residual"} <= names
    assert not names & {"dijet_mass", "cut_flow", "latents"}  # a row is a jet
    assert "multiplicity" not in names  # integers come back as they were
    assert json.loads((tmp_path / "metrics.json").read_text()) == result.metrics
    assert result.report == tmp_path / "report.html"
    page = result.report.read_text()
    assert "<strong>small</strong>: ✓ every promised bound held (5 of 5)" in page
    assert "<strong>noisy</strong>: a restored file does not know its bounds; " in page
    assert "small.root" in page
    assert "noisy.root" in page


def test_other_jets_and_earlier_output_are_refused(sample, files, make_tree, tmp_path):
    other = make_tree({name: np.ones(3) for name in ("pt", "eta", "phi", "m")}, name="other.root")
    flat = make_tree({name: np.ones(4) for name in ("pt", "eta", "phi", "m")}, name="flat.root")
    with pytest.raises(InputError, match="not the same jets"):
        compare_files(flat, other, tmp_path / "x", style=Style())
    with pytest.raises(InputError, match="not the same jets"):
        compare_files(sample, other, tmp_path / "x", style=Style())
    with pytest.raises(InputError, match="no collection 'Jet'"):
        compare_files(flat, flat, tmp_path / "x", style=Style(), collection="Jet")
    assert not (tmp_path / "x").exists()
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "metrics.json").write_text("precious")
    with pytest.raises(OutputError, match="--force"):
        compare_files(sample, files / "small.root", tmp_path / "y", style=Style())
    assert (tmp_path / "y" / "metrics.json").read_text() == "precious"
    with pytest.raises(InputError, match="given twice"):
        compare_files(sample, [files / "small.root"] * 2, tmp_path / "x", style=Style())
    with pytest.raises(OutputError, match="is a file; name a folder for the comparison"):
        compare_files(flat, flat, tmp_path / "y" / "metrics.json", style=Style())


@pytest.mark.usefixtures("figures")
def test_several_collections(make_tree, tmp_path):
    rng = np.random.default_rng(2)
    arrays, counters = {}, {}
    for name, mean in (("Jet", 3), ("Muon", 1)):
        counts = rng.poisson(mean, 400)
        arrays[f"n{name}"] = counts.astype(np.int32)
        for column in ("pt", "eta", "phi", "mass"):
            values = rng.uniform(0.1, 1, counts.sum()).astype(np.float32) * (50 if column == "pt" else 1)
            arrays[f"{name}_{column}"] = ak.unflatten(values, counts)
            counters[f"{name}_{column}"] = f"n{name}"
    original = make_tree(arrays, name="both.root", counters=counters)
    hepae.compress_file(original, tmp_path / "small.root", hepae.BoundedCodec(), collection=["Jet", "Muon"])
    result = compare_files(original, tmp_path / "small.root", tmp_path / "out", style=Style())
    columns = result.metrics["columns"]
    assert list(columns) == [
        f"{name}.{column}" for name in ("Jet", "Muon") for column in ("pt", "eta", "phi", "mass", "E")
    ]
    assert all(column["violations"] == 0 for name, column in columns.items() if not name.endswith(".E"))
    jets, muons = (int(arrays[f"n{name}"].sum()) for name in ("Jet", "Muon"))
    assert result.metrics["jets"] == jets + muons
    assert {"Jet.pt", "Muon.pt", "Muon.dijet_mass", "Jet.bytes"} <= {path.stem for path in result.figures}
    with hepae.open(tmp_path / "small.root") as file:
        shares = [sum(file.stored_bytes(name).values()) for name in ("Jet", "Muon")]
        assert sum(shares) == pytest.approx(file.header.bytes.compressed, abs=8)
        assert file.bounds("Muon") == {**DEFAULT_BOUNDS}
        assert shares[0] > shares[1] > 0
        expected = hepae.residuals(hepae.read_jets(original, collection="Muon"), file.jets(collection="Muon"))
    assert columns["Muon.mass"]["std"] == expected["mass"].std


def _with_other_muons(make_tree, **jets_an_event):
    """A file of 50 equal events with so many jets of each collection, and one whose muons have half as much pt again."""
    arrays, counters = {}, {}
    for name, jets in jets_an_event.items():
        for column in ("pt", "eta", "phi", "mass"):
            arrays[f"{name}_{column}"] = ak.Array([np.linspace(1, 2, jets)] * 50)
            counters[f"{name}_{column}"] = f"n{name}"
        arrays[f"n{name}"] = np.full(50, jets, np.int32)
    worse = arrays | {"Muon_pt": 1.5 * arrays["Muon_pt"]}
    return make_tree(arrays, counters=counters), make_tree(worse, name="worse.root", counters=counters)


@pytest.mark.usefixtures("figures")
def test_collections_are_counted_once_however_they_are_named(make_tree, tmp_path):
    original, worse = _with_other_muons(make_tree, Jet=5, Muon=3, Tau=2)
    hepae.compress_file(original, tmp_path / "small.root", hepae.BoundedCodec(), collection=["Jet", "Muon"])
    for version in (tmp_path / "small.root", worse):
        for asked, jets in ((["Jet", "Jet"], 250), (["Jet", "Muon", "J*"], 400), (("Mu*", "Muon"), 150)):
            result = compare_files(
                original, version, tmp_path / "out", style=Style(), collection=asked, force=True
            )
            assert result.metrics["jets"] == jets
    with pytest.raises(InputError, match="no collection 'Tau'"):
        compare_files(
            original, tmp_path / "small.root", tmp_path / "x", style=Style(), collection=["Jet", "Tau"]
        )


@pytest.mark.usefixtures("figures")
def test_a_verdict_counts_the_jets_of_its_collection(make_tree, tmp_path, monkeypatch):
    monkeypatch.setattr(Shown, "uri", "")
    monkeypatch.setattr(Shown, "size", (1, 1))
    original, worse = _with_other_muons(make_tree, Jet=5, Muon=3)
    hepae.compress_file(worse, tmp_path / "small.root", hepae.BoundedCodec(), collection=["Jet", "Muon"])
    result = compare_files(original, tmp_path / "small.root", tmp_path / "out", style=Style(), report=True)
    assert "✗ broken by 150 of 150 jets" in result.report.read_text()


def test_as_many_events_with_other_lists_are_refused(make_tree, tmp_path):
    def jets(counts, name):
        values = np.linspace(1, 2, sum(counts))
        columns = {f"Jet_{column}": ak.unflatten(values, counts) for column in ("pt", "eta", "phi", "mass")}
        return make_tree(
            {"nJet": np.array(counts), **columns}, name=name, counters=dict.fromkeys(columns, "nJet")
        )

    first, second = jets([2, 1, 3], "first.root"), jets([1, 2, 3], "second.root")
    with pytest.raises(InputError, match="these are not the same events, or they are in another order"):
        compare_files(first, second, tmp_path / "x", style=Style())
    assert not (tmp_path / "x").exists()


@pytest.mark.usefixtures("figures")
@pytest.mark.parametrize(
    ("before", "after", "compared"),
    [
        ("pt eta phi m btag", "pt eta phi m", ["pt", "eta", "phi", "mass", "E"]),
        ("pt eta phi m", "pt eta phi e btag", ["pt", "eta", "phi", "mass", "E"]),
        ("pt eta phi btag", "pt eta phi btag", ["pt", "eta", "phi", "btag"]),
        (
            "pt eta phi m",
            "pt eta phi btag",
            "is a four-momentum in .*before.root but not in .*after.root",
        ),
        (
            "pt eta phi btag",
            "pt eta phi m",
            "is a four-momentum in .*after.root but not in .*before.root",
        ),
    ],
)
def test_columns_of_both_are_compared(make_tree, tmp_path, before, after, compared):
    values = dict(
        zip(("pt", "eta", "phi", "m", "e", "btag"), np.linspace(5, 6, 600).reshape(6, 100), strict=True)
    )
    values["e"] = np.sqrt((values["pt"] * np.cosh(values["eta"])) ** 2 + values["m"] ** 2)
    files = [
        make_tree({name: values[name] for name in columns.split()}, name=name)
        for columns, name in ((before, "before.root"), (after, "after.root"))
    ]
    if isinstance(compared, str):
        with pytest.raises(InputError, match=compared):
            compare_files(*files, tmp_path / "out", style=Style())
        return
    metrics = compare_files(*files, tmp_path / "out", style=Style()).metrics
    assert list(metrics["columns"]) == compared
    assert all(column["max_abs"] == pytest.approx(0, abs=1e-9) for column in metrics["columns"].values())
    assert metrics["bytes"]["ratio"] == pytest.approx(1, abs=0.1)


@pytest.mark.usefixtures("figures")
def test_all_collections_of_a_file_are_compared(make_tree, tmp_path):
    """Some have a four-momentum, some a direction, and some no momentum at all."""
    arrays, counters = {}, {}
    columns = {"Jet": "pt eta phi mass", "TrigObj": "pt eta phi id", "SV": "chi2 ndof", "Flag": "ok"}
    for name, own in columns.items():
        arrays[f"n{name}"] = np.full(50, 3, np.int32)
        for column in own.split():
            values = np.linspace(1, 2, 150).astype(np.int32 if column == "id" else np.float32)
            arrays[f"{name}_{column}"] = ak.unflatten(values, arrays[f"n{name}"])
            counters[f"{name}_{column}"] = f"n{name}"
    original = make_tree(arrays, counters=counters)
    hepae.compress_file(original, tmp_path / "small.root", hepae.BoundedCodec(), collection="*")
    metrics = compare_files(original, tmp_path / "small.root", tmp_path / "out", style=Style()).metrics
    expected = [f"{name}.{column}" for name, own in columns.items() for column in own.split()]
    assert {*metrics["columns"]} == {*expected, "Jet.E"}
    promised = [column["violations"] for name, column in metrics["columns"].items() if name != "Jet.E"]
    assert promised == [0] * len(expected)


@pytest.mark.usefixtures("figures")
def test_figures_are_of_the_columns_that_differ_most(make_tree, tmp_path, monkeypatch):
    """All columns are in metrics.json; ten further ones have figures, of all collections together."""
    monkeypatch.setattr(Shown, "uri", "")
    monkeypatch.setattr(Shown, "size", (1, 1))
    rng = np.random.default_rng(4)
    arrays, counters, noisy = {}, {}, {}
    for letter in ("A", "B", "C", "D", "Jet"):
        arrays[f"n{letter}"] = np.full(40, 2, np.int32)
        for column in ("pt", "eta", "phi", "mass", *(f"x{i}" for i in range(6 if letter in "AB" else 0))):
            name = f"{letter}_{column}"
            arrays[name] = ak.unflatten(rng.uniform(1, 2, 80), np.full(40, 2))
            counters[name] = f"n{letter}"
            size = 1e-4 * (int(column[1:]) + 1) * (10 if letter == "A" else 1) if column[0] == "x" else 0
            size = {"C_pt": 0.1, "D_pt": 0.2, "A_pt": 0.3}.get(name, size)
            noisy[name] = arrays[name] + size * ak.unflatten(rng.choice([-1, 1], 80), np.full(40, 2))
    original = make_tree(arrays, counters=counters)
    other = make_tree(arrays | noisy, name="noisy.root", counters=counters)
    options = {"style": Style(), "collection": "*", "report": True}
    result = compare_files(original, other, tmp_path / "main", **options)
    names = {path.stem for path in result.figures if not path.stem.endswith("_residual")}
    assert {name for name in names if ".x" in name} == {
        *(f"A.x{i}" for i in range(6)), *(f"B.x{i}" for i in range(2, 6))
    }  # fmt: skip
    assert {name.partition(".")[0] for name in names if name.endswith(".mass")} == {"Jet", "A", "D"}
    assert "B.bytes" not in names
    assert result.without_figure == 2 + 2  # x0 and x1 of B, pt and E of C
    assert len(result.metrics["columns"]) == 5 * 5 + 12
    page = result.report.read_text()
    assert "4 columns that changed have no figure" in page
    assert all(f'<th scope="row">{name}</th>' in page for name in result.metrics["columns"])
    every = compare_files(original, other, tmp_path / "all", figures="all", **options)
    assert {"B.x0", "B.x1", "C.mass", "B.bytes"} <= {path.stem for path in every.figures}
    assert (every.without_figure, every.metrics) == (0, result.metrics)


def test_names_of_files_and_columns_are_shown_as_they_are(flat, make_tree, tmp_path, figures):
    def texts(name):
        """Texts of the legends, and all texts."""
        figure = next(figure for path, figure in reversed(figures.items()) if path.name == name)
        figure.draw_without_rendering()
        legends = [legend for axes in figure.axes if (legend := axes.get_legend())]
        return (
            {text.get_text() for legend in legends for text in legend.get_texts()},
            {text.get_text() for text in figure.findobj(Text)},
        )

    names = ["Original", "ac$^$x", "_hidden", "a$_{$b\\"]
    for name in names:
        (tmp_path / f"{name}.root").write_bytes((flat / "noisy.root").read_bytes())
    versions = [tmp_path / f"{name}.root" for name in names]
    compare_files(flat / "original.root", versions, tmp_path / "out", style=Style(), unit="MeV")
    expected = ["File Original", r"ac\$^\$x", " _hidden", r"a\$_{\$b" + "\\"]
    assert texts("pt")[0] == {"Original", *expected}
    assert {*expected} <= texts("pt_residual")[1]
    assert {"Original", *expected} <= texts("bytes")[1]
    assert {*expected} <= texts("pt_against_pt")[0]

    columns = dict.fromkeys(("pt", "eta", "phi", "m", "x$^$", "_y"), np.linspace(1, 2, 100))
    one = make_tree(columns)
    other = make_tree(columns | {name: columns[name] + 1e-3 for name in ("x$^$", "_y")}, name="b.root")
    compare_files(one, other, tmp_path / "columns", style=Style())
    assert any("x\\$^\\$\n" in text for text in texts("bytes")[1])
    assert "x\\$^\\$" in texts("x$^$")[1]


def test_bounds_are_drawn_where_no_jet_may_pass_them(sample, tmp_path, figures):
    hepae.compress_file(sample, tmp_path / "bounds.root", hepae.BoundedCodec({"pt": "50MeV"}))
    compare_files(sample, tmp_path / "bounds.root", tmp_path / "out", style=Style())
    drawn = {}
    for path, figure in figures.items():
        lines = [line for axes in figure.axes for line in axes.lines if line.get_linestyle() == "--"]
        legends = [legend for axes in figure.axes if (legend := axes.get_legend())]
        drawn[path.name] = (
            lines,
            {text.get_text() for legend in legends for text in legend.get_texts()},
            [text.get_text() for text in figure.findobj(Text)],
        )
    assert {"bound 1% (+ 1 MeV)", "0 beyond the bound"} <= drawn["mass_residual"][1]
    assert {"bound 50MeV", "0 beyond the bound"} <= drawn["pt_residual"][1]
    assert {"bound ±0.0010", "0 beyond the bound"} <= drawn["eta_residual"][1]
    assert not any("beyond the bound" in text for text in drawn["E_residual"][1])
    with_line = {name for name, (lines, *_) in drawn.items() if lines and "_against_" in name}
    assert with_line == {
        "pt_against_pt",
        "eta_against_pt",
        "eta_against_eta",
        "phi_against_pt",
        "phi_against_eta",
        "mass_against_pt",  # of jets above 1 GeV, of which 1 % + 1 MeV is 1.1 % at most
        "mass_against_eta",
    }
    told = [text for text in drawn["largest"][2] if text.startswith("largest: ")]
    assert sorted("bound" in text for text in told) == [False, True, True, True]


def _row(page, column, section="certificate"):
    """Cells of a column's row in a table of the page: the number behind each, or its text."""
    table = page.split(f'<h2 id="{section}">')[1].split("</section>")[0]
    row = re.search(rf'<th scope="row">{column}</th>(.*?)</tr>', table, re.DOTALL)[1]
    cells = re.findall(r'<td(?: class="[^"]*")?(?: data-value="([^"]*)")?>(.*?)</td>', row, re.DOTALL)
    return [float(number) if number else re.sub("<.*?>", "", text).strip() for number, text in cells]


@pytest.mark.usefixtures("figures")
@pytest.mark.parametrize("kind", ["compressed", "restored"])
def test_the_page_counts_jets_beyond_their_bounds_and_across_edges(make_tree, tmp_path, monkeypatch, kind):
    """A file that promises 0.1 % and an edge at 30 GeV, beside an original whose first 200 jets are 2 % off."""
    monkeypatch.setattr(Shown, "uri", "")
    monkeypatch.setattr(Shown, "size", (1, 1))
    rng = np.random.default_rng(6)
    columns = {"pt": rng.uniform(20, 60, 1000), "eta": rng.normal(0, 1, 1000)}
    columns |= {"phi": rng.uniform(-3, 3, 1000), "mass": rng.uniform(2, 9, 1000)}
    counts = np.full(500, 2, np.int32)

    def write(name, **changed):
        arrays = {f"Jet_{column}": ak.unflatten(of, counts) for column, of in (columns | changed).items()}
        return make_tree({"nJet": counts, **arrays}, name=name, counters=dict.fromkeys(arrays, "nJet"))

    hepae.compress_file(
        write("true.root"), tmp_path / "small.root", hepae.BoundedCodec({"pt": "0.1%"}, {"pt": [30]})
    )
    version = tmp_path / "small.root"
    if kind == "restored":
        version = hepae.decompress_file(version, tmp_path / "back.root") and tmp_path / "back.root"
    restored = ak.to_numpy(ak.flatten(hepae.read_jets(version).pt)) if kind == "restored" else None
    if restored is None:
        with hepae.open(version) as file:
            restored = ak.to_numpy(ak.flatten(file.jets().pt))
    pt = columns["pt"].copy()
    pt[:200] /= 1.02
    crossed = int(np.count_nonzero((pt > 30) != (restored > 30)))
    error = np.abs(restored - pt) / (0.001 * pt)
    result = compare_files(write("other.root", pt=pt), version, tmp_path / "out", style=Style(), report=True)
    assert result.metrics["columns"]["pt"]["violations"] == 200
    assert [result.metrics["columns"][name]["violations"] for name in ("eta", "phi", "mass")] == [0, 0, 0]
    assert result.metrics["columns"]["E"]["violations"] is None
    page = result.report.read_text()
    bound, verdict, jets, beyond, ratio, edges, across, *_ = _row(page, "pt")
    assert (bound, verdict, edges) == ("0.1%", "✗ broken by 200 of 1\u202f000 jets", "30GeV")
    assert (jets, beyond, across) == (1000, 200, crossed)
    assert 0 < crossed < 200
    assert ratio == pytest.approx(error.max(), rel=1e-9)
    assert _row(page, "eta")[1:4] == ["✓ held by every jet", 1000, 0]
    assert "200 of 1000 values are beyond the bound 0.1%" in page
    assert f"{crossed} of 1000 values crossed 30GeV" in page
    _, whose, mean_bound, mean, share, widening = _row(page, "pt", "resolution")
    sigma = np.sqrt(1.25**2 + 0.903**2 * pt + (0.041 * pt) ** 2)  # of CMS, as this is like NanoAOD
    assert whose == "CMS (8 TeV, arXiv:1607.03663)"
    assert (mean_bound, mean) == pytest.approx(((0.001 * pt).mean(), sigma.mean()))
    assert share == pytest.approx((0.001 * pt / sigma).mean())
    assert widening == pytest.approx(np.sqrt(1 + np.mean(((restored - pt) / sigma) ** 2)) - 1)
    if kind == "compressed":
        with hepae.open(version) as file:
            stored = file.stored_bytes("Jet")["pt"] / 1000
        assert _row(page, "pt", "sizes")[1] == pytest.approx(stored)


@pytest.mark.usefixtures("figures")
def test_a_file_that_says_nothing_of_its_bounds_is_told_apart(flat, tmp_path, monkeypatch):
    monkeypatch.setattr(Shown, "uri", "")
    monkeypatch.setattr(Shown, "size", (1, 1))
    result = compare_files(
        flat / "original.root", flat / "noisy.root", tmp_path / "out", style=Style(), unit="MeV", report=True
    )
    page = result.report.read_text()
    assert "A restored file does not know its bounds" in page
    assert "branch pt: not the same bit for bit, first in entry 0" in page
    assert _row(page, "pt")[2:5] == ["–", "–", "–"]


@pytest.mark.usefixtures("figures")
def test_restored_again_is_held_to_the_bound_beside_its_own_original(sample, tmp_path):
    """Compressed twice, a file promises one bound of what was compressed last, and both of the first original."""
    first, second = tmp_path / "first.root", tmp_path / "second.root"
    hepae.compress_file(sample, first, hepae.BoundedCodec({"pt": "1%"}), entry_stop=300)
    hepae.decompress_file(first, tmp_path / "back.root")
    hepae.compress_file(tmp_path / "back.root", second, hepae.BoundedCodec({"pt": "1%"}), again=True)
    hepae.decompress_file(second, tmp_path / "again.root")
    with open_source(sample) as source, uproot.recreate(tmp_path / "original.root") as file:
        arrays = source.arrays(source.branches, 0, 300)
        TreeWriter(file, source.tree, [*source.branches.values()]).extend(arrays)
    pt = [
        ak.to_numpy(ak.flatten(hepae.read_jets(tmp_path / name).pt)) for name in ("back.root", "again.root")
    ]
    beyond = np.count_nonzero(np.abs(pt[1] / ak.to_numpy(ak.flatten(arrays["Jet_pt"])) - 1) > 0.01)
    assert beyond > 50  # a bound of 1 % would be broken by these
    for original in ("back.root", "original.root"):
        for version in (second, tmp_path / "again.root"):
            columns = compare_files(
                tmp_path / original, version, tmp_path / "out", style=Style(), force=True
            ).metrics["columns"]
            assert columns["pt"]["violations"] == 0
            assert (columns["pt"]["max_rel"] > 0.0101) == (original == "original.root")
