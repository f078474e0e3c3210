from __future__ import annotations

import csv
import os
import pickle
import subprocess
import sys
import tomllib
from dataclasses import replace

import numpy as np
import pytest
import torch

import hepae
from hepae.errors import CodecError, ConfigError, InputError, OutputError
from hepae.kinematics import flat_column
from hepae.latent.features import FeatureMap
from hepae.training.configuration import TrainingConfig
from hepae.training.runs import Run
from hepae.training.train import train

SMALL = hepae.AutoencoderConfig(hidden=(16, 8))
CONFIG = TrainingConfig(epochs=4, network=SMALL, batch_size=256)


@pytest.fixture(scope="module")
def jets(sample):
    return hepae.read_jets(sample)[:3000]


def test_the_loss_falls(jets):
    losses = [row.validation_loss for row in train(jets, replace(CONFIG, epochs=8)).history]
    assert losses[-1] < 0.2 * losses[0]


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(jets):
    first, second = (train(jets, CONFIG).codec.to_bytes() for _ in range(2))
    assert first == second
    assert train(jets, replace(CONFIG, seed=1)).codec.to_bytes() != first


def _columns(jets):
    return {name: flat_column(jets, name) for name in ("pt", "eta", "phi", "mass")}


def test_features_are_fitted_on_the_training_jets_alone(jets):
    config = replace(CONFIG, epochs=1, basis="minmax", columns=("pt", "eta", "phi", "mass"))
    outside = train(jets[:1500], config, validation=jets[1500:], test=jets[1500:])
    assert outside.codec.features == FeatureMap.fit(_columns(jets[:1500]), "minmax")
    assert outside.codec.features != FeatureMap.fit(_columns(jets), "minmax")


def test_jets_set_aside_for_validation_are_not_trained_on():
    """One jet is far from all others: the features reach it only when it is drawn for training."""
    values = {name: np.linspace(1, 2, 100) for name in ("pt", "eta", "phi", "mass")}
    values["pt"][17] = 1000.0
    jets = hepae.kinematics.momenta(values)
    config = replace(CONFIG, epochs=1, basis="minmax", validation_fraction=0.5)
    tops = set()
    for seed in range(10):
        codec = train(jets, replace(config, seed=seed)).codec
        assert codec.summary["jets"] == 50
        pt = codec.features.transforms[0]
        tops.add(round(pt.offset + pt.scale))
    assert tops == {2, 1000}


def test_the_weights_of_the_best_epoch_are_kept(jets):
    config = replace(CONFIG, epochs=200, patience=2, learning_rate=0.5, schedule="constant")
    result = train(jets[:1500], config, validation=jets[1500:])
    losses = [row.validation_loss for row in result.history]
    features = torch.from_numpy(result.codec.features.forward(_columns(jets[1500:])))
    assert min(losses) < losses[-1]
    with torch.inference_mode():
        loss = torch.nn.functional.mse_loss(result.codec.network(features), features)
    assert float(loss) == pytest.approx(min(losses), rel=1e-5)


def test_a_test_input_is_logged_and_decides_nothing(jets):
    without, with_test = train(jets, CONFIG), train(jets, CONFIG, test=jets[:100])
    assert all(row.test_loss is None for row in without.history)
    assert all(row.test_loss > 0 for row in with_test.history)
    for name, tensor in without.codec.network.state_dict().items():
        assert torch.equal(tensor, with_test.codec.network.state_dict()[name])


def test_training_stops_when_patience_ends(jets):
    config = replace(CONFIG, epochs=200, patience=2, learning_rate=0.5, schedule="constant")
    losses = [row.validation_loss for row in train(jets, config).history]
    assert len(losses) < 200
    assert losses.index(min(losses)) == len(losses) - 1 - 2


def test_schedules(jets):
    constant = [row.learning_rate for row in train(jets, replace(CONFIG, schedule="constant")).history]
    assert constant == [CONFIG.learning_rate] * 4
    cycle = [row.learning_rate for row in train(jets, replace(CONFIG, epochs=10)).history]
    peak = cycle.index(max(cycle))
    assert 0 < peak < 9
    assert CONFIG.learning_rate * 0.9 < cycle[peak] <= CONFIG.learning_rate
    assert cycle[-1] < 1e-4 * CONFIG.learning_rate
    steps = [row.learning_rate for row in train(jets, replace(CONFIG, epochs=8, schedule="steps")).history]
    np.testing.assert_allclose(steps, [CONFIG.learning_rate * 0.2**n for n in range(1, 9)])


def _precisions_seen(train_once):
    """Whether matrix products were made under autocast, in any layer of what was trained."""
    seen = set()
    hook = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda module, _: seen.add(torch.is_autocast_enabled("cpu")) if module.training else None
    )
    try:
        losses = [row.train_loss for row in train_once().history]
    finally:
        hook.remove()
    return losses, seen


@pytest.mark.parametrize("basis", ["physics", "minmax", "standard"])
def test_the_default_is_float32_on_every_processor(jets, basis):
    """In the basis minmax a training in bfloat16 ends at 168 times the loss, so no processor may choose it by itself."""
    config = TrainingConfig(basis=basis, epochs=2, columns=("pt", "eta", "phi", "E"), device="cpu")
    default = _precisions_seen(lambda: train(jets[:500], config))
    assert default == _precisions_seen(lambda: train(jets[:500], replace(config, precision="float32")))
    assert default[1] == {False}
    losses, seen = _precisions_seen(lambda: train(jets[:500], replace(config, precision="bfloat16")))
    assert True in seen
    assert losses != default[0]


def test_bfloat16_trains_where_it_is_asked_for(jets):
    both = [replace(CONFIG, epochs=20, precision=precision) for precision in ("float32", "bfloat16")]
    first, second = (train(jets, config) for config in both)
    assert second.codec.summary["config"]["precision"] == "bfloat16"
    assert first.history[-1].validation_loss != second.history[-1].validation_loss
    assert second.history[-1].validation_loss == pytest.approx(first.history[-1].validation_loss, rel=0.1)


def test_large_batches_go_in_pieces_to_the_same_weights(jets, monkeypatch):
    config = replace(CONFIG, batch_size=2000, learning_rate=1e-2)
    whole = train(jets, config)
    monkeypatch.setattr("hepae.training.loop.CACHED_JETS", 300)
    pieces = train(jets, config)
    assert whole.codec.to_bytes() != pieces.codec.to_bytes()  # sums in another order, and nothing else
    for first, second in zip(whole.history, pieces.history, strict=True):
        assert second.train_loss == pytest.approx(first.train_loss, rel=1e-4)
        assert second.validation_loss == pytest.approx(first.validation_loss, rel=1e-4)


def test_the_last_epochs_are_in_float32(jets):
    """Of ten epochs one: the nine before are those of a training in bfloat16 alone."""
    config = replace(CONFIG, epochs=10, schedule="constant", precision="bfloat16")
    both = [train(jets, replace(config, epochs=epochs)).history for epochs in (10, 20)]
    losses = [[row.train_loss for row in history[:10]] for history in both]
    assert losses[0][:9] == losses[1][:9]
    assert losses[0][9] != losses[1][9]


def test_a_training_that_diverges_is_said(jets):
    with pytest.raises(CodecError, match="--learning-rate"):
        train(jets, replace(CONFIG, learning_rate=1e30))
    with pytest.raises(CodecError, match="validate on jets"):
        train(jets, CONFIG, validation=jets[:0])


def test_batch_norm_takes_a_last_batch_of_one_jet(jets):
    flat = hepae.kinematics.momenta({name: values[:101] for name, values in _columns(jets).items()})
    config = replace(CONFIG, batch_size=50, network=replace(SMALL, batch_norm=True))
    assert len(train(flat, config, validation=jets).history) == 4


def test_too_few_jets_are_said(jets):
    for some in (jets[:0], jets[:1]):
        with pytest.raises(CodecError, match="too few"):
            train(some, CONFIG)


def test_a_network_that_no_memory_holds_is_said(jets):
    with pytest.raises(ConfigError, match="no network of widths"):
        train(jets, replace(CONFIG, network=replace(SMALL, latent=10**15)))


def test_a_fraction_of_the_jets_is_used(jets):
    whole, tenth = (
        train(jets, replace(CONFIG, epochs=1, fraction=f)).codec.summary["jets"] for f in (1, 0.1)
    )
    assert tenth == round(whole / 10)


def test_a_run_is_recorded(jets, tmp_path):
    result = train(jets, replace(CONFIG, runs_dir=tmp_path / "runs"), test=jets[:100])
    run = result.run_dir
    assert TrainingConfig.from_toml(run / "config.toml") == replace(CONFIG, runs_dir=tmp_path / "runs")
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2, 3]
    for row, metrics in zip(rows, result.history, strict=True):
        assert float(row["train_loss"]) == metrics.train_loss
        assert float(row["test_loss"]) == metrics.test_loss
    names = {path.name for path in run.iterdir() if "tfevents" not in path.name}
    assert names == {"config.toml", "metrics.csv", "best.pt", "last.pt", ".lock"}
    best = torch.load(run / "best.pt", weights_only=True)
    assert best["epoch"] == result.codec.summary["best"]["epoch"]
    for name, tensor in result.codec.network.state_dict().items():
        assert torch.equal(best["model"][name], tensor)


def test_two_runs_in_one_second_have_folders_of_their_own(jets, tmp_path):
    config = replace(CONFIG, epochs=1, runs_dir=tmp_path)
    assert len({train(jets[:100], config).run_dir for _ in range(3)}) == 3


def test_a_run_that_cannot_be_recorded_is_said(jets, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="run folder"):
        train(jets, replace(CONFIG, runs_dir=tmp_path / "file"))


def test_tensorboard_has_the_same_losses(jets, tmp_path):
    pytest.importorskip("tensorboard")
    result = train(jets, replace(CONFIG, runs_dir=tmp_path))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(result.run_dir), size_guidance={"histograms": 0}).Reload()
    logged = [scalar.value for scalar in events.Scalars("validation_loss")]
    np.testing.assert_allclose(logged, [row.validation_loss for row in result.history], rtol=1e-6)
    assert [scalar.step for scalar in events.Scalars("train_loss")] == [0, 1, 2, 3]
    (config,) = events.Tensors("configuration/text_summary")
    assert b"batch_size = 256" in config.tensor_proto.string_val[0]
    for name in ("pt", "eta", "phi", "mass"):
        logged = [scalar.value for scalar in events.Scalars(f"{name}_p68")]
        np.testing.assert_allclose(logged, [row.p68[name] for row in result.history], rtol=1e-6)
        histograms = [event.histogram_value for event in events.Histograms(f"residual/{name}")]
        assert len(histograms) == 4
        assert all(histogram.num == histograms[0].num > 500 for histogram in histograms)


def test_residuals_of_validation_jets_are_recorded(jets):
    """They are what `hepae.residuals` says of the same jets, for a codec of the same weights."""
    result = train(jets[:2000], CONFIG, validation=jets[2000:])
    (last,) = (row for row in result.history if row.epoch == result.codec.summary["best"]["epoch"])
    restored = result.codec.decompress(result.codec.compress(jets[2000:]))
    expected = hepae.residuals(jets[2000:], restored)
    for name in ("pt", "eta", "phi"):
        assert last.p68[name] == pytest.approx(expected[name].p68, rel=0.01)


DRIVER = """
import contextlib, os, pathlib, signal, sys, hepae
from hepae.training.train import train
from hepae.training.runs import Run
from hepae.training.configuration import TrainingConfig
with contextlib.suppress(ImportError):
    import torch.utils.tensorboard  # once, not in every child
sample, folder, out = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
jets = hepae.read_jets(sample)[:3000]
torch.optim.Adam([torch.zeros(1, requires_grad=True)])
network = hepae.AutoencoderConfig(hidden=(16, 8), dropout=0.1)
config = TrainingConfig(epochs=10, network=network, batch_size=64, runs_dir=folder)

def work(moment):
    "Begin or go on, and die before the n-th file of the run gets its name, or after so many seconds."
    if isinstance(moment, int):
        left = iter(range(moment - 1))
        def kill(event, arguments):
            if event == "os.rename" and folder in pathlib.Path(arguments[1]).parents and next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(kill)
    elif moment:
        signal.setitimer(signal.ITIMER_REAL, moment)  # whose signal ends a process as SIGKILL does
    runs = [path.parent for path in folder.glob("*/config.toml")]
    resumed, same = Run.resume(runs[0]) if runs else (None, config)
    train(jets, same, resume=resumed).codec.save(out)

for moment in eval(sys.argv[4]):
    child = os.fork()
    if child == 0:
        work(moment)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == {int: signal.SIGKILL, float: signal.SIGALRM}[type(moment)], moment
work(None)
"""
BEGINNING = (1, 2, 3, 4)  # before config.toml, best.pt, metrics.csv and last.pt of the first epoch
GOING_ON = (0.01, 1, 2, 3, 0.15, 4, 5, 1, 6)


def _drive(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", DRIVER, *map(str, arguments)], env=environment, check=False)
    assert done.returncode == 0


def test_a_run_killed_at_any_moment_ends_in_the_weights_of_an_unbroken_one(sample, tmp_path):
    _drive(sample, tmp_path / "killed", tmp_path / "resumed", repr((*BEGINNING, *GOING_ON)))
    _drive(sample, tmp_path / "unbroken", tmp_path / "expected", "()")
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "expected").read_bytes()
    empty, run = sorted((tmp_path / "killed").iterdir(), key=lambda path: len([*path.iterdir()]))
    with pytest.raises(InputError, match="no run to resume"):
        Run.resume(empty)
    (unbroken,) = (tmp_path / "unbroken").iterdir()
    columns = []
    for folder in (run, unbroken):
        with (folder / "metrics.csv").open() as file:
            columns.append([{**row, "jets_per_s": ""} for row in csv.DictReader(file)])
    assert columns[0] == columns[1]
    assert [int(row["epoch"]) for row in columns[0]] == [*range(10)]


class _Stopped(Exception):
    """What a training is stopped by."""


def _stop_after(epochs):
    def progress(done):
        if done.metrics is not None and done.metrics.epoch + 1 == epochs:
            raise _Stopped

    return progress


def test_tensorboard_shows_each_epoch_of_a_resumed_run_once(jets, tmp_path):
    pytest.importorskip("tensorboard")
    with pytest.raises(_Stopped):
        train(jets, replace(CONFIG, epochs=8, runs_dir=tmp_path), progress=_stop_after(3))
    (folder,) = tmp_path.iterdir()
    checkpoint = (folder / "last.pt").read_bytes()
    for stop in (5, 6):
        run, config = Run.resume(folder)
        with pytest.raises(_Stopped):
            train(jets, config, resume=run, progress=_stop_after(stop))
        (folder / "last.pt").write_bytes(checkpoint)  # as if it was killed before an epoch's checkpoint
    result = train(jets, config, resume=Run(folder))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"histograms": 0}).Reload()
    assert len(events.Tensors("configuration/text_summary")) == 1
    for name in ("train_loss", "pt_p68"):
        assert [scalar.step for scalar in events.Scalars(name)] == [*range(8)]
    assert [histogram.step for histogram in events.Histograms("residual/mass")] == [*range(8)]
    np.testing.assert_allclose(
        [scalar.value for scalar in events.Scalars("train_loss")],
        [row.train_loss for row in result.history],
        rtol=1e-6,
    )


def test_a_finished_run_resumes_to_the_same_codec(jets, tmp_path):
    result = train(jets, replace(CONFIG, runs_dir=tmp_path))
    run, config = Run.resume(result.run_dir)
    again = train(jets, config, resume=run)
    assert again.codec.to_bytes() == result.codec.to_bytes()
    assert again.history == result.history


def test_a_run_that_goes_on_is_not_resumed(jets, tmp_path):
    result = train(jets, replace(CONFIG, epochs=1, runs_dir=tmp_path))
    run, config = Run.resume(result.run_dir)
    with run.locked(), pytest.raises(InputError, match="another process is training"):
        train(jets, config, resume=run)
    assert len(train(jets, config, resume=run).history) == 1


HOLDER = """
import pathlib, sys, hepae
from hepae.training.runs import Run
with Run(pathlib.Path(sys.argv[1])).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_the_lock_of_a_killed_process_is_gone(jets, tmp_path):
    result = train(jets, replace(CONFIG, epochs=1, runs_dir=tmp_path))
    run, config = Run.resume(result.run_dir)
    command = [sys.executable, "-c", HOLDER, str(result.run_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(InputError, match="another process is training"):
            train(jets, config, resume=run)
        holder.kill()
    assert len(train(jets, config, resume=run).history) == 1


def test_training_needs_no_module_that_windows_lacks():
    """A stand-in for Windows, where `fcntl` cannot be imported: modules that need it get an ImportError there."""
    code = "import sys; sys.modules['fcntl'] = None; import hepae.training.runs"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_run_stopped_by_patience_resumes_to_the_same_codec(jets, tmp_path):
    config = replace(
        CONFIG, epochs=200, patience=2, learning_rate=0.5, schedule="constant", runs_dir=tmp_path
    )
    result = train(jets, config)
    run, config = Run.resume(result.run_dir)
    assert train(jets, config, resume=run).codec.to_bytes() == result.codec.to_bytes()


class _Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("write", [lambda x: pickle.dumps(x), None])
@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_a_hostile_checkpoint_is_not_run(jets, tmp_path, write, name):
    result = train(jets[:100], replace(CONFIG, epochs=1, runs_dir=tmp_path / "runs"))
    path, hostile = result.run_dir / name, _Hostile(tmp_path / "ran")
    torch.save(hostile, path) if write is None else path.write_bytes(write(hostile))
    run, config = Run.resume(result.run_dir)
    with pytest.raises(InputError, match=rf"{name} is damaged"):
        train(jets[:100], config, resume=run)
    assert not (tmp_path / "ran").exists()
    (torch.load(path, weights_only=False) if write is None else pickle.loads(path.read_bytes()))
    assert (tmp_path / "ran").exists()  # the test's own bait does bite


def _without(checkpoint, key):
    return {name: value for name, value in checkpoint.items() if name != key}


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        *(
            (name, lambda _, content=content: content)
            for name in ("last.pt", "best.pt")
            for content in ({}, [1], 5)
        ),
        ("last.pt", lambda last: {**last, "fingerprint": None}),
        *(
            ("last.pt", lambda last, key=key: {**last, key: 5})
            for key in ("model", "optimizer", "scheduler", "history")
        ),
        ("last.pt", lambda last: {**last, "history": '[{"epoch": 0}]'}),
        *(("best.pt", lambda best, key=key: _without(best, key)) for key in ("model", "loss", "epoch")),
        ("best.pt", lambda best: {**best, "model": {}}),
        ("best.pt", lambda best: {**best, "loss": None}),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(jets, tmp_path, name, spoil):
    result = train(jets[:100], replace(CONFIG, epochs=1, runs_dir=tmp_path))
    path = result.run_dir / name
    torch.save(spoil(torch.load(path, weights_only=True)), path)
    run, config = Run.resume(result.run_dir)
    with pytest.raises(InputError):
        train(jets[:100], config, resume=run)


def test_a_run_that_lost_its_best_weights_is_refused(jets, tmp_path):
    result = train(jets[:100], replace(CONFIG, epochs=1, runs_dir=tmp_path))
    (result.run_dir / "best.pt").unlink()
    run, config = Run.resume(result.run_dir)
    with pytest.raises(InputError, match="lost its best"):
        train(jets[:100], replace(config, epochs=2), resume=run)


def test_a_run_whose_configuration_was_changed_is_refused(jets, tmp_path):
    result = train(jets[:100], replace(CONFIG, epochs=1, runs_dir=tmp_path))
    run, config = Run.resume(result.run_dir)
    with pytest.raises(InputError, match="do not fit"):
        train(jets[:100], replace(config, network=hepae.AutoencoderConfig(hidden=(17,))), resume=run)


def test_a_run_is_resumed_only_on_its_own_jets(jets, tmp_path):
    result = train(jets, replace(CONFIG, runs_dir=tmp_path))
    run, config = Run.resume(result.run_dir)
    for others in ({}, {"validation": jets[:100]}, {"test": jets[:100]}):
        with pytest.raises(InputError, match="--validation and --test"):
            train(jets if others else jets[:2000], config, resume=run, **others)
    with pytest.raises(InputError, match="no run to resume"):
        Run.resume(tmp_path)
    (result.run_dir / "last.pt").write_bytes(b"damaged")
    with pytest.raises(InputError, match="damaged"):
        train(jets, config, resume=run)


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 0},
        {"epochs": 7.5},
        {"batch_size": 0},
        {"learning_rate": -1.0},
        {"optimizer": "sgd9"},
        {"schedule": "x"},
        {"precision": "float16"},
        {"precision": "auto"},
        {"fraction": 0.0},
        {"validation_fraction": 1.0},
        {"patience": 0},
        {"seed": -1},
        {"seed": 2**40},
        {"seed": 1.5},
        {"weight_decay": -1.0},
        {"batch_size": 1, "network": hepae.AutoencoderConfig(batch_norm=True)},
        {"columns": ()},
        {"columns": "pt"},
        {"columns": (1, 2)},
        {"basis": "nope"},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError):
        TrainingConfig(**options)


def test_a_configuration_of_toml(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('epochs = 7\ncolumns = ["m", "pt"]\n[network]\nhidden = [8, 4]\n')
    config = TrainingConfig.from_toml(path)
    assert (config.epochs, config.columns, config.network.hidden) == (7, ("m", "pt"), (8, 4))
    for wrong in (
        'columns = "pt,eta,phi,E"',
        "columns = 4",
        'learning_rate = "fast"',
        "network = 4",
        "optimizer = []",
    ):
        path.write_text(f"{wrong}\n")
        with pytest.raises(ConfigError):
            TrainingConfig.from_toml(path)
        with pytest.raises(ConfigError):
            TrainingConfig.from_config(tomllib.loads(wrong))
    path.write_text("epocs = 7\n")
    with pytest.raises(ConfigError, match="'epocs'"):
        TrainingConfig.from_toml(path)
    with pytest.raises(ConfigError, match="cannot read"):
        TrainingConfig.from_toml(tmp_path / "none.toml")


ON_ANY_PROCESSOR = """
import sys
import hepae
jets = hepae.read_jets(sys.argv[1])[:2000]
for basis in ("physics", "minmax", "standard"):
    config = hepae.TrainingConfig(
        basis=basis, epochs=10, batch_size=128, network=hepae.AutoencoderConfig(hidden=(32, 16)), device="cpu"
    )
    result = hepae.train(jets[:1500], config, test=jets[1500:2000])
    print(result.history[-1].test_loss)
"""


def test_losses_are_the_same_without_the_instructions_of_this_processor(sample):
    """With AVX2 alone, as on older machines, the losses are within 10 % of those with whatever this processor has."""
    older = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
    losses = []
    for environment in ({}, older):
        done = subprocess.run(
            [sys.executable, "-c", ON_ANY_PROCESSOR, sample],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        losses.append([float(line) for line in done.stdout.split()])
    assert len(losses[0]) == 3
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
