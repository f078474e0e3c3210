from __future__ import annotations

import itertools

import awkward as ak
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hepae
from hepae.errors import CodecError, ConfigError
from hepae.files.plan import _planned

pytestmark = pytest.mark.filterwarnings("ignore::hepae.errors.UnitWarning")
"""The unit of most files here is told by their values, which test_inputs.py is about."""


def test_ranges_of_entries_add_up_to_the_whole(sample, tmp_path):
    inputs, codec = [sample, sample], hepae.BoundedCodec()
    whole = hepae.compress_file(inputs, tmp_path / "whole.root", codec)
    parts, edges = [], [0, 12_345, 23_456, 40_000]
    for start, stop in itertools.pairwise(edges):
        path = tmp_path / f"{start}.root"
        parts.append(hepae.compress_file(inputs, path, codec, entry_start=start, entry_stop=stop))
        with hepae.open(path) as part, hepae.open(tmp_path / "whole.root") as file:
            assert part.num_entries == stop - start
            assert ak.all(abs(part.jets().pt / file.jets(start, stop).pt - 1) < 0.0021)
    for name in ("events", "jets", "file_before", "coded_before"):
        assert sum(getattr(part, name) for part in parts) == getattr(whole, name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": ["MTE_*"]}, "--keep 'MTE_.*MET_pt"),
        ({"drop": ["genWieght"]}, "--drop 'genWieght' .*genWeight"),
        ({"drop": ["MET_*", "Nothing/*"]}, r"--drop 'Nothing/\*'"),
        ({"collection": ["Jte*"]}, "--collection 'Jte.*Jet"),
    ],
)
def test_patterns_that_match_nothing_are_refused(sample, tmp_path, options, words):
    with pytest.raises(ConfigError, match=words):
        hepae.compress_file(sample, tmp_path / "out.root", hepae.BoundedCodec(), **options)
    assert [*tmp_path.iterdir()] == []


def test_branches_are_kept_and_dropped_by_pattern(arrays_of, sample, codec, tmp_path):
    hepae.compress_file(sample, tmp_path / "a.root", codec, drop=["GenJet_*", "nGenJet", "MET_*"])
    summary = hepae.compress_file(sample, tmp_path / "b.root", codec, keep=["event"])
    latents = {"nJet", "Jet_z0", "Jet_z1", "Jet_z2"}
    assert {*arrays_of(tmp_path / "a.root")[0]} == {*latents, "run", "luminosityBlock", "event", "genWeight"}
    assert {*arrays_of(tmp_path / "b.root")[0]} == {*latents, "event"}
    with hepae.open(tmp_path / "b.root") as file:
        assert "MET_pt" in file.header.left_out
        assert summary.notes == (f"{len(file.header.left_out)} branches were left out (--keep, --drop)",)


def test_a_model_of_other_columns_names_both(sample, data, tmp_path):
    config = hepae.TrainingConfig(
        columns=("pt", "eta", "phi", "mass", "charge"), epochs=1, network=hepae.AutoencoderConfig(hidden=(8,))
    )
    other = hepae.train(hepae.read_jets(data / "pythia_jets_18columns.root"), config).codec
    with pytest.raises(CodecError, match=r"charge.*only pt, eta, phi, mass"):
        hepae.compress_file(sample, tmp_path / "x.root", other)
    assert list(tmp_path.iterdir()) == []


def test_bounds_and_edges_on_columns_that_are_not_there(sample, tmp_path):
    for codec in (hepae.BoundedCodec({"nope": 1}), hepae.BoundedCodec(edges={"nope": "1"})):
        with pytest.raises(hepae.ConfigError, match="there are pt, eta, phi, mass"):
            hepae.compress_file(sample, tmp_path / "x.root", codec)
    assert list(tmp_path.iterdir()) == []


FOUND = [(10, 1000, {"Jet": 100}), (0, 50, {"Jet": 0}), (7, 333, {"Jet": 77})]
"""Three inputs: entries, bytes, and bytes of the coded branches."""


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 17), min_size=0, max_size=5))
def test_the_shares_of_any_cuts_add_up(cuts):
    edges = [0, *sorted(cuts), 17]
    parts = [_planned(FOUND, start, stop) for start, stop in itertools.pairwise(edges) if start < stop]
    for number, (entries, size, coded) in enumerate(FOUND):
        pieces = [part[number] for part in parts]
        assert sum(piece.end - piece.begin for piece in pieces) == entries
        if entries:
            assert sum(piece.file_bytes for piece in pieces) == size
            assert sum(piece.coded_bytes["Jet"] for piece in pieces) == coded["Jet"]
            assert sum(piece.gives_trees for piece in pieces) == 1


def test_a_range_may_count_from_the_end_and_be_empty():
    assert [(part.begin, part.end) for part in _planned(FOUND, -8, None)] == [(9, 10), (0, 0), (0, 7)]
    assert [(part.begin, part.end) for part in _planned(FOUND, 2, -10)] == [(2, 7), (0, 0), (0, 0)]
    nothing = _planned(FOUND, 5, 5)
    assert [part.end - part.begin for part in nothing] == [0, 0, 0]
    assert [part.gives_trees for part in nothing] == [True, False, False]
