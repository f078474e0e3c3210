"""The bundled sample; the PYTHIA generator behind it.

The bundled sample was made with PYTHIA 8.317 (pythia8mc 8.317.2), FastJet 3.5.2 (fastjet 3.5.2.0) and NumPy 2.4 by::

    hepae generate hepae/data/dijets.root --process dijets --events 20000 --seed 1

Events are proton-proton collisions at 13 TeV with multiple interactions, hadronised, without pile-up. Their visible
particles (neither neutrinos nor muons) within the calorimeters' reach become anti-kT jets of R = 0.4 (`GenJet`),
and these, smeared as a calorimeter would, the measured jets (`Jet`).
"""

from __future__ import annotations

import contextlib
import importlib.resources
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import vector

from hepae.errors import ConfigError, OutputError
from hepae.kinematics import momenta, wrap_phi
from hepae.resolution.parametrisation import Parametrisation

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

PROCESSES = {
    # Oversampled by pT^3.5, the steep spectrum still falls but reaches the TeV in a few thousand events; the weights
    # undo it (PYTHIA manual, "Phase Space Cuts").
    "dijets": (
        "HardQCD:all = on",
        "PhaseSpace:pTHatMin = 20",
        "PhaseSpace:bias2Selection = on",
        "PhaseSpace:bias2SelectionPow = 3.5",
        "PhaseSpace:bias2SelectionRef = 20",
    ),
    "ttbar": ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on"),
}
"""PYTHIA's settings of each process that can be generated."""

JET_RADIUS = 0.4
JET_PT_MIN = 20.0
JET_ETA_MAX = 4.5
"""Radius, smallest pt in GeV and largest |eta| of the jets that are stored."""

ANGLE = 0.01
"""Resolution of eta and of phi: a tenth of a tower of the ATLAS hadronic calorimeter (0.1 × 0.1, JINST 3 S08003)."""

MASS = 0.1
"""Relative resolution of the mass beyond that of the energy; a choice of the size usual for calorimeter jets."""

CALORIMETER_ETA = 4.9
"""Reach in |eta| of the ATLAS calorimeters (JINST 3 S08003)."""

CONSTITUENT_PT_MIN = 0.2
"""Smallest pt in GeV of the particles that are stored; slower ones curl up in the magnetic field."""

_CLUSTERED_PT_MIN = 10.0  # GeV: low enough that the smearing lifts few lower jets above JET_PT_MIN
_TRUTH_BITS = 10  # of mantissa kept for the true jets, the way of NanoAOD with floats that need no more
_SEED_MAX = 900_000_000  # of PYTHIA
_BATCH = 250  # events in memory with all their particles
_BASKET = 10_000  # events
_BLOCK = 1000  # events that share a luminosityBlock
_JETS = "var * {pt: float32, eta: float32, phi: float32, mass: float32}"
_PARTICLES = "var * {pt: float32, eta: float32, phi: float32, mass: float32, pdgId: int32}"
_BRANCHES = {
    "run": "uint32",
    "luminosityBlock": "uint32",
    "event": "uint64",
    "genWeight": "float32",
    "MET": "{pt: float32, phi: float32}",
    "Jet": _JETS,
    "GenJet": _JETS,
}


def sample_path() -> Path:
    """Path of the bundled sample: 20 000 dijet events as `generate` writes them."""
    return Path(str(importlib.resources.files("hepae") / "data" / "dijets.root"))


def resolution(pt: ArrayLike) -> FloatArray:
    """Relative resolution √(N²/pt² + S²/pt + C²) of a jet's energy, for pt in GeV: that of ATLAS, taken for every |eta|.

    The terms are those of ``hepae/resolution/ATLAS.toml``, of anti-kT R = 0.4 jets in the central calorimeters (arXiv:1910.04482).

    >>> resolution([20.0, 100.0]).round(3).tolist()
    [0.232, 0.084]
    """
    pt = np.asarray(pt, np.float64)
    relative: FloatArray = Parametrisation.load("ATLAS").columns["pt"](pt) / pt
    return relative


def generate(
    output: str | os.PathLike[str],
    *,
    process: str = "dijets",
    events: int,
    seed: int,
    constituents: bool = False,
    progress: Callable[[int], None] | None = None,
    force: bool = False,
) -> None:
    """Generate events with PYTHIA and write their jets to a ROOT file, in a TTree `Events` in the style of NanoAOD.

    Branches are run, luminosityBlock, event, genWeight, MET_pt and MET_phi, and the pt, eta, phi and mass of `Jet`
    and `GenJet`, in GeV and radians. Jets have pt > 20 GeV and |eta| < 4.5 and stand by falling pt; an event may have
    none. The same seed gives the same content with the same versions of PYTHIA, FastJet and NumPy, with constituents or without.

    Parameters
    ----------
    output
        The file to write; it appears when it is complete.
    process
        "dijets", with weights that undo an oversampling of high pt, or "ttbar", with weights of 1.
    events
        How many events.
    seed
        From 1 to 900 000 000, for PYTHIA and the smearing.
    constituents
        Write the particles that jets are made of as well, a few hundred an event: `GenCands` with pt, eta, phi, mass and pdgId, as they
        were generated, by falling pt. They have pt > 0.2 GeV and |eta| < 4.9.
    progress
        Called with the number of events done so far.
    force
        Replace the output if it exists.

    Raises
    ------
    ConfigError
        If an option makes no sense, or if PYTHIA or FastJet are not installed.
    OutputError
        If the output exists or cannot be written.
    """
    if process not in PROCESSES:
        raise ConfigError(f"unknown process {process!r}: choose one of {', '.join(PROCESSES)}")
    if events < 1:
        raise ConfigError(f"cannot generate {events} events: ask for at least 1")
    if not 1 <= seed <= _SEED_MAX:
        raise ConfigError(f"seed {seed} is out of PYTHIA's range: choose one from 1 to {_SEED_MAX}")
    with _complete(Path(output), force=force) as temporary:
        pythia = _start_pythia(process, seed)
        batches = _batches(pythia, events, np.random.default_rng(seed), constituents=constituents)
        branches = _BRANCHES | ({"GenCands": _PARTICLES} if constituents else {})
        _write(temporary, branches, batches, f"{process} {events} {seed}", progress)


@contextlib.contextmanager
def _complete(output: Path, *, force: bool) -> Iterator[Path]:
    """Give a temporary path beside the output, which takes the output's name when the block ends without error."""
    if output.exists() and not force:
        raise OutputError(f"{output} exists already; name another output or add --force")
    try:
        # ROOT files hold their own name: a folder of its own lets the temporary file have the final one.
        with tempfile.TemporaryDirectory(prefix=".hepae-", dir=output.parent) as folder:
            temporary = Path(folder) / output.name
            yield temporary
            temporary.replace(output)
    except OSError as error:
        raise OutputError(
            f"cannot write {output}: {error.strerror or error}; choose another place"
        ) from error


def _write(
    path: Path,
    branches: Mapping[str, str],
    batches: Iterator[dict[str, Any]],
    name: str,
    progress: Callable[[int], None] | None,
) -> None:
    """Write the batches' events, gathered to baskets of a size that compresses well."""
    import uproot

    # uproot's own choice of identifier holds the network address of this machine.
    identifier = uuid.uuid5(uuid.NAMESPACE_URL, f"hepae generate {name}")
    # LZMA costs less time than the events, and 15 % fewer bytes than ZSTD.
    with uproot.recreate(path, compression=uproot.LZMA(9), uuid_function=lambda: identifier) as file:
        tree = file.mktree("Events", dict(branches))
        basket: list[dict[str, Any]] = []
        done = written = 0
        for batch in batches:
            basket.append(batch)
            done += len(batch["event"])
            if done - written >= _BASKET:
                _extend(tree, basket)
                basket, written = [], done
            if progress is not None:
                progress(done)
        if basket:  # ROOT cannot read a tree that was extended by no events
            _extend(tree, basket)


def _extend(tree: Any, batches: list[dict[str, Any]]) -> None:
    tree.extend({name: ak.concatenate([batch[name] for batch in batches]) for name in batches[0]})


def _start_pythia(process: str, seed: int) -> Any:
    """Give a PYTHIA that is ready to generate and prints nothing; FastJet is silenced too."""
    try:
        import fastjet
        import pythia8mc
    except ImportError as error:
        raise ConfigError(
            f"generating needs {error.name}: install it with pip install 'hepae[pythia]'"
        ) from None
    fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)
    pythia = pythia8mc.Pythia("", False)
    beams = ("Print:quiet = on", "Beams:eCM = 13000", "Random:setSeed = on", f"Random:seed = {seed}")
    accepted = [pythia.readString(setting) for setting in (*beams, *PROCESSES[process])]
    if not (all(accepted) and pythia.init()):
        raise ConfigError(
            f"PYTHIA does not start with process {process}: install the version of constraints.txt"
        )
    return pythia


def _batches(
    pythia: Any, events: int, random: np.random.Generator, *, constituents: bool
) -> Iterator[dict[str, Any]]:
    """Yield what goes into `_BRANCHES`, and the constituents, a batch of events at a time."""
    for start in range(0, events, _BATCH):
        number = np.arange(start, min(start + _BATCH, events), dtype=np.uint64)
        generated = pythia.nextBatch(len(number))
        particles = generated.prt[generated.prt.status > 0]
        kind = abs(particles.id)
        neutrino = (kind == 12) | (kind == 14) | (kind == 16)
        seen = _within_reach(particles[~neutrino & (kind != 13)])
        neutrinos = particles.p[neutrino]
        truth = _cluster(seen.p)
        measured = _measure(truth, random)
        # What the calorimeter mismeasured is missing like a neutrino.
        missing_x = ak.sum(neutrinos.px, axis=1) + ak.sum(truth.px - measured.px, axis=1)
        missing_y = ak.sum(neutrinos.py, axis=1) + ak.sum(truth.py - measured.py, axis=1)
        missing = {"pt": np.hypot(missing_x, missing_y), "phi": np.arctan2(missing_y, missing_x)}
        batch = {
            "run": np.ones(len(number), np.uint32),
            "luminosityBlock": (number // _BLOCK + 1).astype(np.uint32),
            "event": number + 1,
            "genWeight": ak.values_astype(generated.info.weights[:, 0], np.float32),
            "MET": ak.values_astype(ak.zip(missing), np.float32),
            "Jet": _stored(measured),
            "GenJet": _stored(_rounded(truth)),
        }
        yield batch | ({"GenCands": _constituents(seen)} if constituents else {})


def _within_reach(particles: ak.Array) -> ak.Array:
    """Particles that the calorimeters reach."""
    p = particles.p
    return particles[abs(p.pz) < np.sinh(CALORIMETER_ETA) * np.hypot(p.px, p.py)]


def _constituents(particles: ak.Array) -> ak.Array:
    """Particles that are stored, by falling pt, with PYTHIA's own masses."""
    p = particles.p
    pt = np.hypot(p.px, p.py)
    columns = {"pt": pt, "eta": np.arcsinh(p.pz / pt), "phi": np.arctan2(p.py, p.px), "mass": particles.m}
    found = ak.zip({name: ak.values_astype(values, np.float32) for name, values in columns.items()})
    found["pdgId"] = ak.values_astype(particles.id, np.int32)
    found = found[found["pt"] > CONSTITUENT_PT_MIN]
    return found[ak.argsort(found["pt"], axis=1, ascending=False)]


def _cluster(particles: ak.Array) -> ak.Array:
    """Jets of particles, one list per event, their mass never below 0."""
    import fastjet

    inputs = ak.zip(
        {"px": particles.px, "py": particles.py, "pz": particles.pz, "E": particles.e}, with_name="Momentum4D"
    )
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, JET_RADIUS)
    clustered = fastjet.ClusterSequence(inputs, definition).inclusive_jets(_CLUSTERED_PT_MIN)
    jets = ak.Array(clustered, behavior=vector.backends.awkward.behavior)
    # Rounding makes a jet of one photon spacelike by a hair.
    return momenta({"pt": jets.pt, "eta": jets.eta, "phi": jets.phi, "mass": np.maximum(jets.mass, 0)})


def _measure(truth: ak.Array, random: np.random.Generator) -> ak.Array:
    """Jets as a calorimeter measures them: energy, direction and mass smeared, in the order of the true ones."""
    flat = ak.flatten(truth)
    energy, eta, phi, mass = random.standard_normal((4, len(flat)))
    response = np.maximum(1 + resolution(flat.pt) * energy, 0)
    measured = {
        "pt": flat.pt * response,
        "eta": flat.eta + ANGLE * eta,
        "phi": wrap_phi(flat.phi + ANGLE * phi),
        "mass": flat.mass * response * np.exp(MASS * mass),
    }
    return ak.unflatten(momenta(measured), ak.num(truth))


def _rounded(jets: ak.Array) -> ak.Array:
    """Jets with the mantissas rounded to `_TRUTH_BITS`."""
    scale = 2.0 ** (_TRUTH_BITS + 1)  # frexp's mantissas begin at 1/2
    columns = {}
    for name in jets.fields:
        mantissa, exponent = np.frexp(jets[name])
        columns[name] = np.ldexp(np.round(mantissa * scale) / scale, exponent)
    return momenta(columns)


def _stored(jets: ak.Array) -> ak.Array:
    """Jets that pass the cuts with the values they are stored with, by falling pt."""
    jets = ak.values_astype(jets, np.float32)
    jets = jets[(jets["pt"] > JET_PT_MIN) & (abs(jets["eta"]) < JET_ETA_MAX)]
    return ak.without_parameters(jets[ak.argsort(jets["pt"], axis=1, ascending=False)])
