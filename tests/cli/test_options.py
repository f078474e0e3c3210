from __future__ import annotations

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
