from __future__ import annotations

from dataclasses import replace

import pytest

import hepae
from hepae.bounds import Bounds
from hepae.files.compressed import CompressedFile
from hepae.files.history import InputFile, Origin
from hepae.files.provenance import history_of


@pytest.fixture(scope="module")
def header(sample, tmp_path_factory):
    """Header of a file of bounded jets."""
    path = tmp_path_factory.mktemp("provenance") / "small.root"
    hepae.compress_file(sample, path, hepae.BoundedCodec(), entry_stop=50)
    with CompressedFile(path) as file:
        return file.parts[0].header


def with_bounds(header, columns, edges=None):
    jets = replace(header.collections["Jet"], bounds=Bounds.parse(columns, edges or {}))
    return replace(header, collections={"Jet": jets})


def test_exact_columns_are_no_step_of_loss(header):
    (step,) = history_of([with_bounds(header, {"pt": "1%", "eta": "exact"}, {"pt": [30]})]).steps
    assert step.algorithm == "subtractive_dither"
    assert step.implementation == f"hepae version {hepae.__version__}"
    coded = step.collections["Jet"]
    assert (coded.unit, coded.coded) == ("GeV", ("pt",))
    assert {name: str(bound) for name, bound in coded.bounds.items()} == {"pt": "1%"}
    assert {name: str(edges) for name, edges in coded.edges.items()} == {"pt": "30GeV"}


def test_columns_that_a_derived_one_stands_for_may_differ(header):
    coded = history_of([with_bounds(header, {"pt": "1%", "E": "1%"})]).steps[0].collections["Jet"]
    assert coded.coded == ("pt", "eta", "phi", "mass")
    assert coded.bounds.keys() == {"pt", "E"}
    coded = history_of([with_bounds(header, {"E": "exact", "mass": "1%"})]).steps[0].collections["Jet"]
    assert coded.bounds.keys() == {"mass"}


def test_an_exact_coordinate_beside_others_with_bounds_is_a_promise(header):
    jets = header.collections["Jet"]
    names = dict(zip(("pt", "eta", "phi", "mass"), ("px", "py", "pz", "E"), strict=True))
    columns = tuple(replace(column, name=names[column.name]) for column in jets.collection.columns)
    of = replace(jets, collection=replace(jets.collection, columns=columns), columns=tuple(names.values()))
    cartesian = replace(header, collections={"Jet": of})
    bounds = {"pt": "exact", "eta": "0.1", "phi": "0.1", "mass": "1%"}
    coded = history_of([with_bounds(cartesian, bounds)]).steps[0].collections["Jet"]
    assert coded.coded == ("px", "py", "pz", "E")
    assert {name: str(bound) for name, bound in coded.bounds.items()} == bounds


def test_latents_promise_no_bound(header):
    jets = replace(header.collections["Jet"], bounds=None, columns=("pt", "phi"))
    (step,) = history_of([replace(header, codec="latent", collections={"Jet": jets})]).steps
    assert step.algorithm == "autoencoder"
    assert step.collections["Jet"].bounds == {"pt": None, "phi": None}


def test_a_step_follows_those_of_the_input_and_names_all_that_was_left_out(header):
    before = history_of([replace(header, left_out=("early",))])
    inputs = (InputFile("in.root", "1-2"),)
    origin = Origin(inputs=inputs, earlier=before, left_out=("Runs/x", "MET"))
    history = history_of([replace(header, origin=origin, left_out=("MET",), unreadable=("odd",))])
    assert history.generation == 2
    assert [step.left_out for step in history.steps] == [("early",), ("MET", "odd", "Runs/x")]
    assert history.steps[1].origin.inputs == inputs
    assert history.steps[1].origin.earlier is None


def test_parts_with_other_bounds_have_the_loosest(header):
    headers = [with_bounds(header, {"pt": bound}) for bound in ("0.1%", "1%")]
    (step,) = history_of(headers).steps
    assert str(step.collections["Jet"].bounds["pt"]) == "1%"
