from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest

import hepae
from hepae.comparison import compare_files
from hepae.errors import InputError, OutputError
from hepae.validation.plotting import Style

KEYS = {"unit", "max_abs", "max_rel", "mean", "median", "std", "p68", "p99", "violations", "non_finite"}
BYTES = {"file_original", "file_compressed", "original", "compressed", "per_jet", "ratio"}


@pytest.fixture(scope="module")
def files(sample, codec, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    hepae.compress_file(sample, folder / "small.root", codec)
    hepae.decompress_file(folder / "small.root", folder / "back.root")
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


def test_figures_for_each_column_as_png_and_pdf(files, compared):
    result = compared
    names = {path.stem for path in result.figures}
    assert names == {f"{c}{kind}" for c in ("pt", "eta", "phi", "mass", "E") for kind in ("", "_residual")}
    assert len(result.figures) == 20
    assert {*result.figures} == {path for path in (files / "out").iterdir() if path.suffix != ".json"}
    for path in result.figures:
        assert path.read_bytes()[:4] == {".png": b"\x89PNG", ".pdf": b"%PDF"}[path.suffix]


def test_neither_steps_nor_storage_change_the_numbers(sample, files, compared, tmp_path):
    whole = compare_files(sample, files / "back.root", tmp_path / "a", style=Style()).metrics["columns"]
    steps = compare_files(sample, files / "back.root", tmp_path / "b", style=Style(), step_size=999).metrics[
        "columns"
    ]
    assert whole == steps
    for name in ("pt.png", "mass_residual.png", "eta.pdf"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    for name, column in compared.metrics["columns"].items():
        assert column["p68"] == pytest.approx(whole[name]["p68"], rel=1e-3)


def test_other_jets_and_earlier_output_are_refused(sample, files, make_tree, tmp_path):
    other = make_tree({name: np.ones(3) for name in ("pt", "eta", "phi", "m")}, name="other.root")
    flat = make_tree({name: np.ones(4) for name in ("pt", "eta", "phi", "m")}, name="flat.root")
    with pytest.raises(InputError, match="not the same jets"):
        compare_files(flat, other, tmp_path / "x", style=Style())
    with pytest.raises(InputError, match="no collection 'Jet'"):
        compare_files(sample, other, tmp_path / "x", style=Style())
    assert not (tmp_path / "x").exists()
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "metrics.json").write_text("precious")
    with pytest.raises(OutputError, match="--force"):
        compare_files(sample, files / "back.root", tmp_path / "y", style=Style())
    assert (tmp_path / "y" / "metrics.json").read_text() == "precious"
    with pytest.raises(OutputError, match="cannot make the folder"):
        compare_files(flat, flat, tmp_path / "y" / "metrics.json", style=Style())


def test_as_many_events_with_other_lists_are_refused(make_tree, tmp_path):
    def jets(counts, name):
        values = np.linspace(1, 2, sum(counts))
        columns = {f"Jet_{column}": ak.unflatten(values, counts) for column in ("pt", "eta", "phi", "mass")}
        return make_tree(
            {"nJet": np.array(counts), **columns}, name=name, counters=dict.fromkeys(columns, "nJet")
        )

    first, second = jets([2, 1, 3], "first.root"), jets([1, 2, 3], "second.root")
    with pytest.raises(InputError, match="in their events"):
        compare_files(first, second, tmp_path / "x", style=Style())
    assert not (tmp_path / "x").exists()
