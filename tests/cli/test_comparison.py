from __future__ import annotations

import json
from pathlib import Path

import pytest
from matplotlib.text import Text


@pytest.mark.usefixtures("work", "figures")
def test_compare_prints_its_metrics(run):
    run("compress", "jets.root", "-m", "model.safetensors", "-o", "small.root")
    result = run("compare", "jets.root", "small.root", "-o", "out", "--json", "--quiet")
    assert json.loads(result.stdout) == json.loads(Path("out/metrics.json").read_text())
    again = run(
        "compare", "jets.root", "small.root", "-o", "twice", "--json", "--quiet", *["--collection", "Jet"] * 2
    )
    assert again.stdout == result.stdout


@pytest.mark.usefixtures("work")
def test_the_word_atlas_stands_only_where_asked_for(run, figures):
    def texts():
        return [{text.get_text() for text in figure.findobj(Text)} for figure in figures.values()]

    assert run("compare", "jets.root", "jets.root", "-o", "plain").exit_code == 0
    assert len(texts()) >= 10
    assert not any("ATLAS" in text for figure in texts() for text in figure)
    figures.clear()
    options = ("--experiment", "ATLAS", "--label", "Internal")
    assert run("compare", "jets.root", "jets.root", "-o", "atlas", *options).exit_code == 0
    assert len(texts()) >= 10
    for figure in texts():
        assert any("ATLAS" in text for text in figure)
        assert any("Internal" in text for text in figure)
