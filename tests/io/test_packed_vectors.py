"""Which types are read as whole LorentzVectors; that their values are right is tested on ROOT's own files in test_ntuples.py."""

from __future__ import annotations

import numpy as np
import pytest
import uproot

from hepae.io.packed_vectors import packed_vectors


@pytest.mark.parametrize(("kind", "size"), [("double", 8), ("float", 4), ("Double32_t", 4)])
def test_four_numbers_follow_a_header_of_ten_bytes(kind, size):
    found = packed_vectors(f"ROOT::Math::LorentzVector<ROOT::Math::PtEtaPhiM4D<{kind}> >")
    assert isinstance(found, uproot.AsDtype)
    row = bytes(10) + np.array([50, 1, 2, 5], f">f{size}").tobytes()
    values = np.frombuffer(2 * row, found.from_dtype)
    assert values.dtype.names == tuple(f"fCoordinates.{name}" for name in ("fPt", "fEta", "fPhi", "fM"))
    assert values.tolist() == [(50, 1, 2, 5)] * 2


def test_a_vector_of_them_is_jagged_and_other_types_are_none_of_ours():
    inner = "ROOT::Math::LorentzVector<ROOT::Math::PxPyPzE4D<double> >"
    assert isinstance(packed_vectors(f"vector<{inner}>"), uproot.AsJagged)
    for other in ("double", "vector<double>", inner.replace("PxPyPzE4D", "Cartesian3D"), "TLorentzVector"):
        assert packed_vectors(other) is None
