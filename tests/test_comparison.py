from __future__ import annotations

import json

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


def test_metrics_are_the_residuals_of_the_whole_arrays(sample, files, tmp_path):
    result = compare_files(sample, files / "small.root", tmp_path / "out", style=Style())
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics == result.metrics
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


def test_figures_for_each_column_as_png_and_pdf(sample, files, tmp_path):
    result = compare_files(sample, files / "small.root", tmp_path, style=Style())
    names = {path.stem for path in result.figures}
    assert names == {f"{c}{kind}" for c in ("pt", "eta", "phi", "mass", "E") for kind in ("", "_residual")}
    assert len(result.figures) == 20
    for path in result.figures:
        assert path.read_bytes()[:4] == {".png": b"\x89PNG", ".pdf": b"%PDF"}[path.suffix]


def test_neither_steps_nor_storage_change_the_numbers(sample, files, tmp_path):
    whole = compare_files(sample, files / "back.root", tmp_path / "a", style=Style()).metrics["columns"]
    steps = compare_files(sample, files / "back.root", tmp_path / "b", style=Style(), step_size=999).metrics[
        "columns"
    ]
    assert whole == steps
    for name in ("pt.png", "mass_residual.png", "eta.pdf"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    small = compare_files(sample, files / "small.root", tmp_path / "c", style=Style()).metrics["columns"]
    for name, column in small.items():
        assert column["p68"] == pytest.approx(whole[name]["p68"], rel=1e-3)


def test_other_jets_and_earlier_output_are_refused(sample, files, make_tree, tmp_path):
    other = make_tree({name: np.ones(3) for name in ("pt", "eta", "phi", "m")}, name="other.root")
    flat = make_tree({name: np.ones(4) for name in ("pt", "eta", "phi", "m")}, name="flat.root")
    with pytest.raises(InputError, match="not the same jets"):
        compare_files(flat, other, tmp_path / "x", style=Style())
    with pytest.raises(InputError, match="no collection 'Jet'"):
        compare_files(sample, other, tmp_path / "x", style=Style())
    assert not (tmp_path / "x").exists()
    compare_files(sample, files / "back.root", tmp_path / "y", style=Style())
    with pytest.raises(OutputError, match="--force"):
        compare_files(sample, files / "back.root", tmp_path / "y", style=Style())
