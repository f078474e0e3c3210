from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from hepae.bounds import Bound
from hepae.verification.certificate import NOTHING, VERDICT, Certificate, VerifiedFile
from hepae.verification.findings import ColumnFindings, ColumnKey, Findings, Jets


def certificate(tmp_path, change=0.0, **rest):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    file, values = VerifiedFile.of(path), np.array([10.0, 20.0])
    key = ColumnKey("pt", Bound.parse("1%"), None, "GeV", values.dtype)
    column = ColumnFindings.of(key, values, values + change, Jets.of(None, 0, 2), None, None)
    findings = Findings(events=2, jets={"Jet": 2}, columns={"Jet": {"pt": column}}, branches={"run"})
    return Certificate((file,), file, "restored", "a test", findings, **{"broken": (), **rest})


def test_a_file_is_known_by_its_content(tmp_path):
    path = tmp_path / "large"
    content = np.arange(400_000).tobytes()  # more than is read at a time
    path.write_bytes(content)
    file = VerifiedFile.of(path)
    assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("options", "ok", "verdict"),
    [
        ({}, True, NOTHING),
        ({"change": 0.01}, True, VERDICT),
        (
            {"left_out": ("a", "b")},
            True,
            "nothing is lost but 2 branches or objects that were left out on request: all other bits are the same",
        ),
        (
            {"left_out": ("a", "b"), "change": 0.01},
            True,
            f"{VERDICT}, and 2 branches or objects that were left out on request",
        ),
        ({"broken": ("x",)}, False, "1 thing is lost or changed: keep the original"),
        ({"broken": ("x", "y")}, False, "2 things are lost or changed: keep the original"),
    ],
)
def test_a_verdict_says_no_less_than_was_found(tmp_path, options, ok, verdict):
    found = certificate(tmp_path, **options)
    assert (found.ok, found.verdict) == (ok, verdict)


def test_as_json_it_has_what_was_compared(tmp_path):
    found = json.loads(json.dumps(certificate(tmp_path, 0.01, notes=("a note",)).to_json(), allow_nan=False))
    assert (found["ok"], found["events"], found["jets"]) == (True, 2, {"Jet": 2})
    assert found["branches_bit_for_bit"] == 1
    assert found["version"] == found["originals"][0] | {"kind": "restored"}
    column = found["collections"]["Jet"]["columns"]["pt"]
    assert (column["bound"], column["changed"], column["beyond"]) == ("1%", 2, 0)
    assert column["largest_error"] == pytest.approx(0.01)
    assert found["date"].endswith("+00:00")
    assert found["notes"] == ["a note"]
