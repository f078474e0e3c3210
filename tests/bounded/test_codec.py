from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from hepae.bounded.codec import BoundedCodec
from hepae.bounds import DEFAULT_BOUNDS
from hepae.errors import ConfigError

GOLDEN = Path(__file__).parents[1] / "golden" / "bounded_v1.root"


def test_every_jet_is_within_its_bounds(jets):
    codec = BoundedCodec({"pt": "0.1%", "eta": 1e-3, "phi": 1e-3, "mass": "1%+1MeV"})
    compressed = codec.compress(jets)
    restored = codec.decompress(compressed)
    assert ak.all(ak.num(restored) == ak.num(jets))
    for name in ("pt", "eta", "mass"):
        error = np.abs(ak.flatten(restored[name]) - ak.flatten(jets[name]))
        assert np.all(error <= DEFAULT_BOUNDS[name].allowed(ak.to_numpy(ak.flatten(jets[name]))))
    away = np.abs(ak.to_numpy(ak.flatten(restored.phi) - ak.flatten(jets.phi)))
    assert np.minimum(away, 2 * np.pi - away).max() <= 1e-3
    assert compressed.nbytes / 52_385 < 4.95


def test_equal_jets_give_equal_bytes_and_flat_jets_work(jets):
    codec = BoundedCodec()
    flat = ak.flatten(jets)
    assert codec.compress(flat).clusters == codec.compress(flat).clusters
    assert codec.compress(flat).clusters != codec.compress(flat[::-1]).clusters
    assert len(codec.decompress(codec.compress(flat))) == len(flat)
    assert codec.decompress(codec.compress(jets[:0])).fields == jets.fields


def test_further_columns_are_exact_and_edges_hold(jets):
    jets = jets[:3000]
    jets["n"] = ak.values_astype(jets.pt % 7, np.uint8)
    jets["btag"] = ak.values_astype(jets.pt % 1, np.float32)
    codec = BoundedCodec(edges={"pt": "25,30,50", "eta": [-2.4, 2.4]})
    restored = codec.decompress(codec.compress(jets))
    assert ak.all(restored.n == jets.n)
    assert ak.all(restored.btag == jets.btag)
    for edge in (25, 30, 50):
        assert ak.all((restored.pt > edge) == (jets.pt > edge))
    assert ak.all((np.abs(restored.eta) < 2.4) == (np.abs(jets.eta) < 2.4))
    with pytest.raises(ConfigError, match="there are pt"):
        BoundedCodec({"nope": 1}).compress(jets)
    with pytest.raises(ConfigError, match="'nope' for edges"):
        BoundedCodec(edges={"nope": [1.0]}).compress(jets)
    assert BoundedCodec.from_config(json.loads(json.dumps(codec.to_config()))).bounds == codec.bounds


DECODE = """
import hashlib, sys, numpy as np, awkward as ak, hepae
with hepae.open(sys.argv[1]) as file:
    jets = file.jets()
digest = hashlib.sha256()
for name in jets.fields:
    digest.update(ak.to_numpy(ak.flatten(jets[name])).tobytes())
assert "torch" not in sys.modules
print(digest.hexdigest())
"""


@pytest.mark.parametrize(
    "environment",
    [
        {"OMP_NUM_THREADS": "1"},
        {"OMP_NUM_THREADS": "2"},
        {"OPENBLAS_CORETYPE": "Nehalem"},
        {"OPENBLAS_CORETYPE": "Haswell"},
        {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"},
        {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"},
    ],
    ids=lambda environment: "-".join(environment.values()),
)
def test_decoding_gives_the_same_bits_everywhere(environment):
    """The golden file's jets, byte for byte, with any number of threads and old and new processors."""
    expected = json.loads(GOLDEN.with_suffix(".json").read_text())["sha256"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DECODE, str(GOLDEN)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == expected
