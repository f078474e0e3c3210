from __future__ import annotations

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("command", "right"),
    [
        (("compress", "jets.root", "-o", "a.txt"), ".root"),
        (("compress", "jets.root", "-o", "small"), ".root"),
        (("decompress", "small.root", "-o", "r.csv"), ".root or .parquet"),
        (("train", "jets.root", "-o", "m.pt"), ".safetensors"),
        (("export", "model.safetensors", "-o", "m.root"), ".onnx"),
        (("sample", "s.parquet"), ".root"),
        (("generate", "s.h5"), ".root"),
    ],
)
def test_the_suffix_of_an_output_says_its_format(run, work, command, right):
    before = {*work.iterdir()}
    result = run(*command)
    assert result.exit_code == 2
    assert f"the name must end in {right}" in result.stderr.splitlines()[-1]
    assert {*work.iterdir()} == before


def test_joined_options_are_shown_in_their_order(run):
    """The help lists them as `options_of` was given them, the first one first."""
    for command in ("info", "train"):
        text = run(command, "--help").stdout
        places = [text.index(option) for option in ("--tree", "--collection", "--unit", "--quiet")]
        assert places == sorted(places)


def test_quiet_silences_the_note_on_the_unit_and_no_other_command_after_it(run, make_tree):
    values = dict.fromkeys(("pt", "eta", "phi", "m"), np.ones(3))
    path = make_tree(values)
    assert "note: " in run("info", path).stderr
    assert run("info", path, "--quiet").stderr == ""
    assert "note: " in run("info", path).stderr
    assert run("info", path, "--unit", "GeV").stderr == ""
