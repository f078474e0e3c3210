from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

import hepae
from hepae.cli import main


def run(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def rows(text):
    """Cells of the tables' rows."""
    return [
        [cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if "│" in line
    ]


def test_many_collections_are_a_row_each(data, tmp_path):
    small = tmp_path / "small.root"
    printed = run(
        "compress",
        data / "nanoaod_cms_open_data_2012_singlemu.root",
        "-o",
        small,
        "--collection",
        "*",
        "--quiet",
    )
    assert "bounds:" not in printed
    assert len(printed.splitlines()) < 30
    found = {cells[0]: cells[1:] for cells in rows(printed)}
    with hepae.open(small) as file:
        assert {*file.collections} <= found.keys()
        for name in file.collections:
            jets, bounded, exact, before, after, _ = found[name]
            bounds = file.bounds(name).values()
            assert int(jets) == file.num_jets(name)
            assert int(bounded) == sum(not bound.exact for bound in bounds) == 4
            assert int(bounded) + int(exact) == len(file.coded(name))
            assert after == f"{sum(file.stored_bytes(name).values()) / 1e6:.3f} MB"
        before = sum(float(found[name][3].removesuffix(" MB")) for name in file.collections)
        assert before == pytest.approx(file.header.bytes.original / 1e6, abs=0.003)
        described = run("info", small)
        assert max(map(len, described.splitlines())) <= 132
        for name, collection in file.collections.items():
            assert f"{name}: {file.num_jets(name)} jets" in described
            own = re.split(r"\n\w+: \d+ jets", described.partition(f"\n{name}: ")[2])[0]
            listed = " ".join(cell for cells in rows(own) for cell in cells)
            assert {*collection.column_names} <= {*re.findall(r"\w+", listed)}
            assert ["0.1%", "pt"] in rows(own)


def test_one_collection_lists_few_bounds_and_counts_many(sample, data, tmp_path):
    printed = run("compress", sample, "-o", tmp_path / "few.root", "--quiet")
    assert "bounds: pt 0.1%, eta 0.001, phi 0.001, mass 1%+1MeV\n" in printed
    many = data / "nanoaod_tt_v12.root"
    printed = run("compress", many, "-o", tmp_path / "many.root", "--collection", "Jet", "--quiet")
    (line,) = [line for line in printed.splitlines() if line.startswith("bounds:")]
    with hepae.open(tmp_path / "many.root") as file:
        more = len(file.coded()) - 4
    assert "pt 0.1%" in line
    assert line.endswith(f"; hepae info lists those of {more} more columns")
