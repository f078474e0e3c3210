"""Mass of the two leading jets with RDataFrame: seconds of its event loop, in a process of its own (ROOT does not share one well).

    python dijet_frame.py THREADS COMPRESSED PLAIN WARM_COMPRESSED WARM_PLAIN TURNS

prints a list of JSON: for each turn the seconds of the compressed file and of the plain one, and the entries of both histograms. The
warm files come first: cling compiles the reader and the analysis with them.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

MASS = """
float dijet_mass(const ROOT::RVecF& pt, const ROOT::RVecF& eta, const ROOT::RVecF& phi, const ROOT::RVecF& mass) {
  using Vector = ROOT::Math::PtEtaPhiMVector;
  return (Vector(pt[0], eta[0], phi[0], mass[0]) + Vector(pt[1], eta[1], phi[1], mass[1])).M();
}
"""


def entries(frame: Any) -> float:
    """Run the event loop, and give the entries of the histogram."""
    two = frame.Filter("nJet >= 2").Define("dijet", "dijet_mass(Jet_pt, Jet_eta, Jet_phi, Jet_mass)")
    return float(two.Histo1D(("dijet", "", 75, 0, 5000), "dijet").GetEntries())


def main() -> None:
    """Time both files, turn by turn."""
    warnings.simplefilter("ignore")
    import ROOT

    import hepae

    threads, compressed, plain, *warm, turns = sys.argv[1:]
    if int(threads) > 1:
        ROOT.EnableImplicitMT(int(threads))
    ROOT.gInterpreter.Declare(MASS)
    frames = {
        "compressed": hepae.rdataframe,
        "plain": lambda path: ROOT.RDataFrame("Events", path),
    }
    for open_frame, path in zip(frames.values(), warm, strict=True):
        entries(open_frame(path))
    found = []
    for _ in range(int(turns)):
        turn: dict[str, float] = {}
        for (name, open_frame), path in zip(frames.items(), (compressed, plain), strict=True):
            started = time.perf_counter()
            turn[f"{name} entries"] = entries(open_frame(path))
            turn[name] = time.perf_counter() - started
        found.append(turn)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
