"""How ROOT writes whole LorentzVectors into one branch, which uproot 5.7.7 does not read."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import uproot


def packed_vectors(typename: str) -> Any:
    """Give an interpretation of whole LorentzVectors, one or a vector of them: ROOT writes a header of 10 bytes before each.

    uproot 5.7.7 assumes shorter headers: it gives wrong values or an error.
    """
    match = re.fullmatch(
        r"(std::|)(vector<|)ROOT::Math::LorentzVector<ROOT::Math::(\w+)<(double|float|Double32_t)> ?> ?>?",
        typename,
    )
    members = {
        "PtEtaPhiE4D": ("fPt", "fEta", "fPhi", "fE"),
        "PtEtaPhiM4D": ("fPt", "fEta", "fPhi", "fM"),
        "PxPyPzE4D": ("fX", "fY", "fZ", "fT"),
        "PxPyPzM4D": ("fX", "fY", "fZ", "fM"),
    }
    if match is None or match[3] not in members:
        return None
    number = np.dtype(">f8" if match[4] == "double" else ">f4")  # Double32_t is a float in a file
    stored = np.dtype(
        {
            "names": [f"fCoordinates.{member}" for member in members[match[3]]],
            "formats": [number] * 4,
            "offsets": [10 + i * number.itemsize for i in range(4)],
            "itemsize": 10 + 4 * number.itemsize,
        }
    )
    vectors = uproot.AsDtype(stored)
    return uproot.AsJagged(vectors, header_bytes=16) if match[2] else vectors
