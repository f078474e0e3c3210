"""The protocol that both codecs follow: each is called alike here, and no call asks which of them it is."""

from __future__ import annotations

import inspect

import awkward as ak
import numpy as np
import pytest

import hepae
from hepae.codec import Codec
from hepae.errors import CodecError

COLUMNS = ("pt", "eta", "phi", "mass")
MEMBERS = [name for name in vars(Codec) if not name.startswith("_")]


@pytest.fixture(params=["bounded", "latent", "latent within bounds"])
def either(request, codec):
    codecs = {"bounded": hepae.BoundedCodec(), "latent": codec, "latent within bounds": codec.with_bounds()}
    return codecs[request.param]


@pytest.fixture(scope="module")
def jets(sample):
    return hepae.read_jets(sample)[:200]


def test_a_codec_has_each_member_with_the_parameters_of_the_protocol(either):
    assert len(MEMBERS) == 12
    for name in MEMBERS:
        asked, own = inspect.getattr_static(Codec, name), inspect.getattr_static(type(either), name, None)
        if isinstance(asked, property):
            assert hasattr(either, name), name
            continue
        bare = [getattr(method, "__func__", method) for method in (asked, own)]
        names, others = (list(inspect.signature(method).parameters) for method in bare)
        assert others[: len(names)] == names, name


def test_jets_are_compressed_and_restored(either, jets):
    compressed = either.compress(jets)
    restored = either.decompress(compressed)
    assert ak.num(restored).tolist() == ak.num(jets).tolist()
    assert restored.fields == list(COLUMNS)
    assert (either.bounds is None) == (len(compressed.clusters) == 0)
    if either.bounds is not None:
        assert ak.all(abs(restored.pt / jets.pt - 1) <= 1.0001e-3)


def test_a_codec_comes_back_from_its_bytes(either, jets):
    again = type(either).from_bytes(either.to_bytes())
    assert again.kind == either.kind
    assert again.model_sha256 == either.model_sha256
    one, other = (codec.decompress(codec.compress(jets)) for codec in (either, again))
    assert ak.array_equal(one, other)


def test_steps_give_latents_where_there_are_some_and_a_prediction_of_the_jets(either, jets):
    step = either.encode_step(lambda: jets)
    assert (step is None) == (not either.latent_types) == (either.stored_model() == b"")
    assert (either.model_sha256 is None) == (either.kind == "bounded")
    if step is None:
        assert either.predict(None, COLUMNS, "GeV") is None
        return
    assert {name: np.dtype(step.records[name].layout.content.dtype) for name in step.records.fields} == {
        **either.latent_types
    }
    in_gev, in_mev = (either.predict(step.records, COLUMNS, unit).columns for unit in ("GeV", "MeV"))
    assert len(in_gev["pt"]) == ak.count(jets.pt)
    np.testing.assert_allclose(in_mev["pt"], 1000 * in_gev["pt"], rtol=1e-6)
    np.testing.assert_allclose(in_mev["eta"], in_gev["eta"], rtol=1e-6)


def test_coded_columns_are_some_of_those_that_there_are(either):
    assert {*COLUMNS} <= {*either.coded_columns([*COLUMNS, "area"])} <= {*COLUMNS, "area"}
    if either.latent_types:
        with pytest.raises(CodecError, match="no eta"):
            either.coded_columns(["pt", "phi", "mass"])
