from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import hepae
from hepae.errors import CodecError, ConfigError, InputError
from hepae.latent.features import FeatureMap
from hepae.training.runs import Run
from hepae.training.train import train


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(small, jets):
    first, second = (train(jets, small).codec.to_bytes() for _ in range(2))
    assert first == second
    assert train(jets, replace(small, seed=1)).codec.to_bytes() != first


def test_features_are_fitted_on_the_training_jets_alone(columns_of, small, jets):
    config = replace(small, epochs=1, basis="minmax", columns=("pt", "eta", "phi", "mass"))
    outside = train(jets[:1500], config, validation=jets[1500:], test=jets[1500:])
    assert outside.codec.features == FeatureMap.fit(columns_of(jets[:1500]), "minmax")
    assert outside.codec.features != FeatureMap.fit(columns_of(jets), "minmax")


def test_jets_set_aside_for_validation_are_not_trained_on(jets, small):
    """One jet is far from all others: the features reach it only when it is drawn for training."""
    values = {name: np.linspace(1, 2, 100) for name in ("pt", "eta", "phi", "mass")}
    values["pt"][17] = 1000.0
    jets = hepae.kinematics.momenta(values)
    config = replace(small, epochs=1, basis="minmax", validation_fraction=0.5)
    tops = set()
    for seed in range(10):
        codec = train(jets, replace(config, seed=seed)).codec
        assert codec.summary["jets"] == 50
        pt = codec.features.transforms[0]
        tops.add(round(pt.offset + pt.scale))
    assert tops == {2, 1000}


def test_too_few_jets_are_said(small, jets):
    for some in (jets[:0], jets[:1]):
        with pytest.raises(CodecError, match="too few"):
            train(some, small)


def test_a_network_that_no_memory_holds_is_said(small, jets):
    with pytest.raises(ConfigError, match="does not fit into memory: choose smaller ones with --hidden"):
        train(jets, replace(small, network=replace(small.network, hidden=(10**15,))))


def test_more_latents_than_columns_are_refused(small, jets):
    config = replace(small, network=replace(small.network, latent=5))
    with pytest.raises(ConfigError, match=r"5 latents of 4 columns \(pt, eta, phi, mass\).*--latent"):
        train(jets, config)


def test_a_fraction_of_the_jets_is_used(small, jets):
    whole, tenth = (train(jets, replace(small, epochs=1, fraction=f)).codec.summary["jets"] for f in (1, 0.1))
    assert tenth == round(whole / 10)


def test_a_finished_run_resumes_to_the_same_codec(small, jets, tmp_path):
    result = train(jets, replace(small, runs_dir=tmp_path))
    run, config = Run.resume(result.run_dir)
    again = train(jets, config, resume=run)
    assert again.codec.to_bytes() == result.codec.to_bytes()
    assert again.history == result.history


def test_a_run_whose_configuration_was_changed_is_refused(small, jets, tmp_path):
    result = train(jets[:100], replace(small, epochs=1, runs_dir=tmp_path))
    run, config = Run.resume(result.run_dir)
    with pytest.raises(InputError, match="do not belong to this run"):
        train(jets[:100], replace(config, network=hepae.AutoencoderConfig(hidden=(17,))), resume=run)


def test_a_run_is_resumed_only_on_its_own_jets(small, jets, tmp_path):
    result = train(jets, replace(small, runs_dir=tmp_path))
    run, config = Run.resume(result.run_dir)
    for others in ({}, {"validation": jets[:100]}, {"test": jets[:100]}):
        with pytest.raises(InputError, match="--validation and --test"):
            train(jets if others else jets[:2000], config, resume=run, **others)
    with pytest.raises(InputError, match="not a run that can be resumed"):
        Run.resume(tmp_path)
    (result.run_dir / "last.pt").write_bytes(b"damaged")
    with pytest.raises(InputError, match="damaged"):
        train(jets, config, resume=run)
