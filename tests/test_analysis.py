"""The analysis scripts as users run them, on every executor."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import uproot
from click.testing import CliRunner

import hepae

ANALYSIS = Path(__file__).parent.parent / "analysis"

pytestmark = [
    pytest.mark.filterwarnings("ignore:Missing cross-reference:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Performed attempt:UserWarning"),
]


@pytest.fixture(scope="module")
def scripts():
    """Modules of the scripts; their processors travel to the workers as they do from a script."""
    modules = {}
    for name in ("jobs", "compress_dataset", "validate_dataset", "verify_dataset", "dijet_mass"):
        spec = importlib.util.spec_from_file_location(name, ANALYSIS / f"{name}.py")
        modules[name] = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(modules[name])
        cloudpickle.register_pickle_by_value(modules[name])
    yield modules
    for name, module in modules.items():
        cloudpickle.unregister_pickle_by_value(module)
        del sys.modules[name]


@pytest.fixture(scope="module")
def invoke(scripts):
    """Run a script with arguments; give what it prints."""

    def run(script, *arguments, status=0):
        result = CliRunner().invoke(scripts[script].main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return result.output

    return run


@pytest.fixture(scope="module")
def fileset(sample, tmp_path_factory):
    path = tmp_path_factory.mktemp("fileset") / "fileset.json"
    path.write_text(json.dumps({"dijets": {"files": {str(sample): "Events"}}}))
    return path


def all_three(invoke, fileset, folder, *options):
    """Compress, validate and search; give what each says."""
    edges = ("--edges", "pt=100", "--edges", "eta=-2.4,2.4")
    invoke("compress_dataset", fileset, "-o", folder, *edges, *options)
    compressed = folder / "fileset.json"
    printed = invoke("validate_dataset", fileset, compressed, *options)
    numbers = [line for line in printed.splitlines() if "jets in" in line or "change" in line]
    assert len(numbers) == 6
    printed = invoke("verify_dataset", fileset, compressed, "-o", folder / "certificates", *options)
    assert printed.endswith("dijets: 20000 events: nothing is lost but what the bounds allow\n")
    assert json.loads((folder / "certificates" / "dijets.json").read_text())["ok"]
    invoke("dijet_mass", fileset, "--version", f"bounded={compressed}", "-o", folder, *options)
    with uproot.open(folder / "dijets.root") as file:
        clusters = file["hepae_payload"].arrays(["jets", "crc"], library="np")
    masses = json.loads((folder / "dijet_mass_dijets.json").read_text())
    return [clusters["crc"].tolist(), clusters["jets"].tolist(), numbers, masses]


@pytest.fixture(scope="module")
def alone(invoke, fileset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    return folder, all_three(invoke, fileset, folder, "--chunksize", 5000)


@pytest.mark.jobs
@pytest.mark.parametrize(
    "name",
    [*(pytest.param(name, marks=pytest.mark.long) for name in ("futures", "parsl")), "dask", "taskvine"],
)
def test_all_executors_say_the_same(name, request, invoke, fileset, alone, tmp_path):
    options = ["--executor", name, "--workers", 2, "--chunksize", 5000]
    if name == "dask":
        options += ["--scheduler", request.getfixturevalue("dask_scheduler")]
    elif name == "parsl":
        request.getfixturevalue("parsl_kernel")
    elif name == "taskvine":
        pytest.importorskip("ndcctools.taskvine", reason="TaskVine is not installed: conda install ndcctools")
    assert all_three(invoke, fileset, tmp_path, *options) == alone[1]


def test_the_dijets_of_a_search_are_the_same(alone):
    masses = alone[1][3]
    original, bounded = masses["original"], masses["bounded"]
    assert bounded["cut_flow"] == original["cut_flow"]
    assert (
        0 < original["cut_flow"]["leading pt > 100 GeV"] < original["cut_flow"]["two jets within |eta| < 2.4"]
    )
    assert bounded["same_events"]
    assert bounded["migration_rms"] <= 0.3
    assert bounded["migration_largest"] <= 0.5
    assert 1e-5 < bounded["shift_largest"] < 1e-3
    assert 1e-4 < bounded["width_median"] < 1e-3
    assert sum(original["mass"]) == pytest.approx(sum(bounded["mass"]), abs=3)
    assert (alone[0] / "dijet_mass_dijets.png").read_bytes().startswith(b"\x89PNG")


def test_the_search_on_real_dijets(invoke, data, codec, tmp_path):
    """At default bounds a bin changes by its migration alone; latents and truncated floats stand beside it."""
    fileset, out = tmp_path / "fileset.json", tmp_path / "out"
    fileset.write_text(json.dumps({"dijets": {"files": {str(data / "pythia_dijets.root"): "Events"}}}))
    codec.save(tmp_path / "model.safetensors")
    invoke("compress_dataset", fileset, "-o", tmp_path / "b", "--edges", "pt=100", "--edges", "eta=-2.4,2.4")
    invoke("compress_dataset", fileset, "-o", tmp_path / "l", "-m", tmp_path / "model.safetensors")
    versions = [f"--version={name}={tmp_path / name[0] / 'fileset.json'}" for name in ("bounded", "latent")]
    printed = invoke("dijet_mass", fileset, *versions, "--truncate", 24, "-o", out)
    assert "24 bits" in printed
    found = json.loads((out / "dijet_mass_dijets.json").read_text())
    assert found["bounded"]["same_events"]
    assert found["bounded"]["migration_rms"] <= 0.15
    assert found["bounded"]["migration_largest"] <= 0.5
    assert found["24 bits"]["width_median"] < found["bounded"]["width_median"]
    assert found["latent"]["migration_rms"] > found["bounded"]["migration_rms"]


def test_truncated_floats_are_rounded(scripts):
    import awkward as ak

    random = np.random.default_rng(1)
    values = ak.unflatten(random.exponential(50, 300).astype(np.float32), [100, 0, 200])
    jets = ak.zip(dict.fromkeys(("pt", "eta", "phi", "mass"), values))
    cut = scripts["dijet_mass"].truncated(jets, 16)
    error = abs(cut.pt / values - 1)
    assert ak.max(error) <= 2.0**-8
    assert ak.max(error) > 2.0**-9.5
    assert ak.all(scripts["dijet_mass"].truncated(cut, 16).pt == cut.pt)


def test_what_cannot_be_done_is_said_in_one_line(invoke, fileset, tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"dijets": {"files": {str(tmp_path / "missing.root"): "Events"}}}))
    (tmp_path / "broken.json").write_text("{")
    assert "is not JSON" in invoke("compress_dataset", tmp_path / "broken.json", "-o", tmp_path, status=2)
    assert "cannot read" in invoke("compress_dataset", tmp_path / "none.json", "-o", tmp_path, status=2)
    printed = invoke("dijet_mass", fileset, "--version", f"bounded={bad}", "-o", tmp_path, status=1)
    assert printed.splitlines()[-1].startswith("Error: ")
    assert f"No such file or directory: '{tmp_path / 'missing.root'}'" in printed.splitlines()[-1]
    printed = invoke("compress_dataset", fileset, "-o", tmp_path, "--bound", "pt=lots", status=1)
    assert printed.splitlines()[-1].startswith("Error: ")
    assert not [*tmp_path.glob("*.root")]
    assert not [*tmp_path.glob(".parts*")]


def test_outputs_are_not_overwritten(invoke, fileset, alone):
    before = (alone[0] / "dijets.root").read_bytes()
    printed = invoke("compress_dataset", fileset, "-o", alone[0], status=1)
    assert "exists already" in printed
    assert (alone[0] / "dijets.root").read_bytes() == before
    with hepae.open(alone[0] / "dijets.root") as file:
        assert file.num_entries == 20_000
