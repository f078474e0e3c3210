"""Latents used for other things than storage: an anomaly score, and the features of a classifier.

    hepae generate dijets.root --process dijets --events 6000 --seed 3 --constituents
    hepae generate ttbar.root --process ttbar --events 5000 --seed 2 --constituents
    OMP_NUM_THREADS=1 python analysis/latent_uses.py dijets.root ttbar.root -o plots

Both files hold GenCands, the particles of each event; those within ΔR = 0.4 of a jet give it 13 columns of its shape beside the
four-momentum. Half of the events is trained on, the other half is measured.

An autoencoder with 8 latents (preset ``folded``) and 8 principal components learn the dijets. *Anomaly score*: jets of both kinds are
ordered by the error of their reconstruction, by mass and by pt. *Classifier*: a small network tells ttbar from dijets by all columns, by
the latents and by the components. The area under the ROC curve (AUC) is 0.5 for a coin. At equal pt, dijets are weighted to the
pt of the ttbar jets; classifiers are trained and measured so. Writes latent_uses.csv and latent_uses.png.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import click
import numpy as np
import torch
import uproot
from study.figures import COLORS
from study.rates import PCA
from study.tables import write
from torch.nn import functional

import hepae
from hepae.kinematics import flat_column
from hepae.latent.autoencoder import evaluate
from hepae.latent.batches import batches
from hepae.validation import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Array = NDArray[Any]

RADIUS, LATENTS = 0.4, 8
PT_EDGES = np.geomspace(20, 500, 25)
"""Bins of the weights at equal pt, in GeV; jets outside are left out there."""


def halves(path: str) -> tuple[ak.Array, ak.Array]:
    """Flat jets of the first half of a file's events, and of the second."""
    with uproot.open(path) as file:
        events = file["Events"].arrays(filter_name=["Jet_*", "GenCands_*"])
    middle = len(events) // 2
    return jets_of(events[:middle]), jets_of(events[middle:])


def jets_of(events: ak.Array, step: int = 500) -> ak.Array:
    """Flat jets with columns of their shape; a jet with fewer than two particles is left out."""
    parts = [_jets_of(events[start : start + step]) for start in range(0, len(events), step)]
    return ak.concatenate(parts)


def _jets_of(events: ak.Array) -> ak.Array:
    names = ("pt", "eta", "phi", "mass")
    jets = ak.zip({name: events[f"Jet_{name}"] for name in names})
    pt, deta, dphi, pdg_id = (
        ak.flatten(array)
        for array in ak.broadcast_arrays(
            events.GenCands_pt[:, None],
            events.GenCands_eta[:, None] - jets.eta[:, :, None],
            (events.GenCands_phi[:, None] - jets.phi[:, :, None] + np.pi) % (2 * np.pi) - np.pi,
            events.GenCands_pdgId[:, None],
        )
    )
    inside = deta**2 + dphi**2 < RADIUS**2
    enough = ak.sum(inside, axis=1) > 1
    pt, deta, dphi, pdg_id = (array[inside][enough] for array in (pt, deta, dphi, pdg_id))
    share, kind = pt / ak.sum(pt, axis=1), abs(pdg_id)
    charged = (kind == 11) | (kind == 211) | (kind == 321) | (kind == 2212)
    weight = share**2 / ak.sum(share**2, axis=1)
    deta, dphi = deta - ak.sum(weight * deta, axis=1), dphi - ak.sum(weight * dphi, axis=1)
    a, b = ak.sum(weight * deta**2, axis=1), ak.sum(weight * dphi**2, axis=1)
    c = ak.sum(weight * deta * dphi, axis=1)
    root = np.sqrt((a - b) ** 2 + 4 * c**2)
    sign = np.sign(pdg_id) * np.where(kind == 11, -1, 1)
    columns = {
        "chHEF": ak.sum(share[charged & (kind != 11)], axis=1),
        "neHEF": ak.sum(share[~charged & (kind != 22)], axis=1),
        "chEmEF": ak.sum(share[kind == 11], axis=1),
        "neEmEF": ak.sum(share[kind == 22], axis=1),
        "nConstituents": ak.num(share, axis=1),
        "nCharged": ak.sum(charged, axis=1),
        "axis1": np.sqrt((a + b + root) / 2),
        "axis2": np.sqrt(np.maximum((a + b - root) / 2, 0)),
        "ptD": np.sqrt(ak.sum(share**2, axis=1)),
        "girth": ak.sum(share * np.hypot(deta, dphi), axis=1),
        "charge": ak.sum((share * sign)[charged], axis=1),
        "leadFraction": ak.max(share, axis=1),
        "leadTrackFraction": ak.fill_none(ak.max(share[charged], axis=1), 0),
    }
    flat = ak.flatten(jets)[enough]
    return hepae.kinematics.momenta({**{name: flat[name] for name in names}, **columns})


def roc(scores: Array, ttbar: Array, weights: Array) -> tuple[Array, Array]:
    """Share of the ttbar jets and of the dijets above each score, from none to all."""
    _, index = np.unique(-scores, return_inverse=True)
    shares = []
    for chosen in (ttbar, ~ttbar):
        total = np.cumsum(np.bincount(index, weights * chosen))
        shares.append(np.concatenate([[0.0], total / total[-1]]))
    return shares[0], shares[1]


def area(curve: tuple[Array, Array]) -> float:
    """Area under the curve: the chance that a ttbar jet has the larger score of a pair."""
    return float(np.trapezoid(*curve))


def equal_pt(pt: Array, ttbar: Array) -> Array:
    """Weights that give the dijets the pt spectrum of the ttbar jets, with the same sum."""
    signal, background = (np.histogram(pt[chosen], PT_EDGES)[0] for chosen in (ttbar, ~ttbar))
    both = (signal > 0) & (background > 0)
    ratio = np.where(both, signal / np.maximum(background, 1), 0.0)
    bins = np.digitize(pt, PT_EDGES) - 1
    inside = (bins >= 0) & (bins < len(ratio))
    bins = np.clip(bins, 0, len(ratio) - 1)
    return inside * np.where(ttbar, both[bins], ratio[bins])


def classifier(inputs: int) -> torch.nn.Sequential:
    """A network of two hidden layers that gives one number, large for ttbar."""
    return torch.nn.Sequential(
        torch.nn.Linear(inputs, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 1),
    )


def train_classifier(
    inputs: Array, ttbar: Array, weights: Array, epochs: int, seed: int
) -> torch.nn.Sequential:
    """Train it with weighted jets and standardised inputs."""
    torch.manual_seed(seed)
    network = classifier(inputs.shape[1])
    table = torch.from_numpy(np.column_stack([inputs, ttbar, weights]).astype(np.float32))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3, fused=True)
    steps = epochs * -(-len(table) // 512)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(epochs):
        for batch in batches(table[torch.randperm(len(table))], 512):
            optimizer.zero_grad()
            functional.binary_cross_entropy_with_logits(
                network(batch[:, :-2])[:, 0], batch[:, -2], batch[:, -1]
            ).backward()
            optimizer.step()
            schedule.step()
    return network


def seconds(layers: torch.nn.Module, inputs: torch.Tensor, outputs: int) -> float:
    """Processor time of a jet: the least of five turns over all of them."""
    turns = []
    for _ in range(5):
        started = time.process_time()
        evaluate(layers, inputs, outputs)
        turns.append(time.process_time() - started)
    return min(turns) / len(inputs)


def measure(
    train: tuple[ak.Array, ak.Array], test: tuple[ak.Array, ak.Array], epochs: int, seeds: int
) -> tuple[list[dict[str, Any]], dict[str, dict[str, tuple[Array, Array]]]]:
    """Rows of the table, and curves by panel and name; dijets come first in each pair, then ttbar."""
    config = hepae.TrainingConfig(columns=tuple(train[0].fields), epochs=epochs).with_preset("folded")
    config = replace(config, network=replace(config.network, hidden=(128, 128, 64), latent=LATENTS))
    codec = hepae.train(train[0], config).codec
    names, network = train[0].fields, codec.network
    matrices = [
        np.concatenate(
            [codec.features.forward({name: flat_column(jets, name) for name in names}) for jets in pair]
        )
        for pair in (train, test)
    ]
    truths = [np.repeat([False, True], [len(jets) for jets in pair]) for pair in (train, test)]
    pts = [np.concatenate([flat_column(jets, "pt") for jets in pair]) for pair in (train, test)]
    weights = [equal_pt(*of) for of in zip(pts, truths, strict=True)]
    learnt = matrices[0][~truths[0]]
    spread = learnt.std(axis=0)
    spread[spread == 0] = 1
    pca = PCA.fit(learnt / spread, LATENTS)

    features = matrices[1]
    restored = evaluate(network, torch.from_numpy(features), len(names))
    components = pca.inverse(pca.forward(features / spread)) * spread
    scores = {
        f"error of {LATENTS} latents": np.mean(((restored - features) / spread) ** 2, axis=1),
        f"error of {LATENTS} components": np.mean(((components - features) / spread) ** 2, axis=1),
        "mass": np.concatenate([flat_column(jets, "mass") for jets in test]),
        "pt": pts[1],
    }
    rows, curves = [], {"Anomaly score": {}, "Classifier": {}}
    for name, score in scores.items():
        curve = roc(score, truths[1], weights[1])
        plain = area(roc(score, truths[1], np.ones(len(score))))
        rows.append({"use": "anomaly score", "input": name, "auc": plain, "auc_equal_pt": area(curve)})
        curves["Anomaly score"][f"{name}, AUC {area(curve):.3f}"] = curve

    latents = [evaluate(network.encoder, torch.from_numpy(matrix), LATENTS) for matrix in matrices]
    inputs = {
        f"all {len(names)} columns": matrices,
        f"{LATENTS} latents": latents,
        f"{LATENTS} components": [pca.forward(matrix / spread) for matrix in matrices],
    }
    encoding = seconds(network.encoder, torch.from_numpy(features), LATENTS)
    for name, (known, new) in inputs.items():
        found = []
        for seed in range(seeds):
            mean, std = known.mean(axis=0), known.std(axis=0)
            trained = train_classifier((known - mean) / std, truths[0], weights[0], epochs, seed)
            x = torch.from_numpy(((new - mean) / std).astype(np.float32))
            curve = roc(evaluate(trained, x, 1)[:, 0], truths[1], weights[1])
            found.append(area(curve))
        rows.append(
            {
                "use": "classifier",
                "input": name,
                "auc_equal_pt": float(np.mean(found)),
                "auc_std": float(np.std(found, ddof=1)),
                "microseconds": 1e6 * seconds(trained, x, 1),
                "microseconds_encoder": 1e6 * encoding if "latents" in name else 0.0,
            }
        )
        curves["Classifier"][f"{name}, AUC {np.mean(found):.3f}"] = curve
    return rows, curves


def draw(curves: dict[str, dict[str, tuple[Array, Array]]], label: str) -> Figure:
    """Draw a panel a use: dijets that stay against ttbar jets that stay, at equal pt."""
    panels = canvas.panels(2)
    for panel, (title, lines) in zip(panels, curves.items(), strict=True):
        for (name, (signal, background)), color in zip(lines.items(), COLORS, strict=False):
            panel.plot(background, signal, color=color, label=name, linewidth=1.8)
        panel.plot([0, 1], [0, 1], color="0.6", linestyle=":", label="a coin")
        panel.set_xlim(0, 1)
        panel.set_ylim(0, 1.2)
        panel.set_xlabel("Dijets above the cut")
        panel.set_ylabel("ttbar jets above the cut")
        panel.legend(loc="lower right", fontsize="small", title=f"{title}, equal pt", title_fontsize="small")
        canvas.write_corner(panel, canvas.Style(label=label))
    return panels[0].get_figure()


@click.command()
@click.argument("dijets")
@click.argument("ttbar")
@click.option(
    "-o", "--output", default=".", type=click.Path(path_type=Path), help="Folder of figure and table."
)
@click.option("--epochs", default=20, show_default=True, help="Epochs of each training.")
@click.option("--seeds", default=5, show_default=True, help="Trainings of each classifier.")
def main(dijets: str, ttbar: str, output: Path, epochs: int, seeds: int) -> None:
    """Measure both uses on jets of the files DIJETS and TTBAR."""
    train, test = zip(halves(dijets), halves(ttbar), strict=True)
    click.echo(
        f"{len(train[0])} dijets' jets and {len(train[1])} of ttbar to train on, {len(test[0])} and {len(test[1])} to measure"
    )
    rows, curves = measure(train, test, epochs, seeds)
    for row in rows:
        click.echo(
            "  ".join(
                f"{key} {value:.4g}" if isinstance(value, float) else value for key, value in row.items()
            )
        )
    output.mkdir(parents=True, exist_ok=True)
    columns = dict.fromkeys(key for row in rows for key in row)
    write(output / "latent_uses.csv", [{key: row.get(key, "") for key in columns} for row in rows])
    canvas.save(draw(curves, "PYTHIA jets"), output / "latent_uses", formats=["png"])


if __name__ == "__main__":
    main()
