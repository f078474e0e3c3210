from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize(
    ("options", "ends", "inputs", "outputs"),
    [
        ((), "jets → restored", 4, 4),
        (("--part", "encoder"), "jets → latents", 4, 3),
        (("--part", "decoder"), "latents → jets", 3, 4),
    ],
)
def test_a_part_is_exported_and_described(run, options, ends, inputs, outputs):
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    result = run("export", "model.safetensors", "-o", "m.onnx", *options)
    assert result.exit_code == 0, result.output
    first, second = result.stdout.splitlines()
    assert first.startswith(f"m.onnx: {ends}, ")
    assert second == "columns: pt GeV, eta, phi rad, mass GeV; latents: z0, z1, z2"
    graph = onnx.load("m.onnx").graph
    widths = [
        [value.type.tensor_type.shape.dim[1].dim_value for value in values]
        for values in (graph.input, graph.output)
    ]
    assert widths == [[inputs], [outputs]]


@pytest.mark.usefixtures("work")
def test_what_is_no_model_is_refused(run, one_line):
    one_line(run("export", "jets.root", "-o", "m.onnx"), "jets.root", "not a hepae model")
    one_line(run("export", "none.safetensors", "-o", "m.onnx"), "no such file: none.safetensors")
    assert not Path("m.onnx").exists()
