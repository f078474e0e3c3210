"""A LatentCodec as an ONNX graph, which runs without Python; the scaling of the columns is in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import awkward as ak
import numpy as np

from hepae import __version__, kinematics
from hepae.errors import CodecError, ConfigError, OutputError
from hepae.io.outputs import atomic_output
from hepae.latent.features import LOG_LARGEST, SENTINELS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from hepae.latent.codec import LatentCodec
    from hepae.latent.features import FeatureMap

    FloatArray = NDArray[np.float64]

Part = Literal["encoder", "decoder"]

OPSET, _IR_VERSION = 17, 8
"""Operators of 2022, and the file format of their time: later ones lack nothing here, and older programs read these."""
TOLERANCE = 1e-5
"""Largest difference from torch, of a latent's range or of a feature: float32 sums in another order."""


def export(codec: LatentCodec, path: str | Path, *, part: Part | None = None, force: bool = False) -> None:
    """Write a codec's network as an ONNX file: jets to latents, latents to jets, or by default jets to restored jets.

    ``jets`` is float32 of shape (N, columns), in GeV and radians and in the order of the codec's `columns`, which need
    not be those it was asked to train on: ``physics`` codes the mass in place of E. ``latents`` is float32 of shape
    (N, latent). The graph replaces what the codec replaces (NaN, infinities, sentinels, m ≤ 0 in ``physics``); logarithms,
    offsets and scales are in float64, the network in float32. The graph has no integer latents, no bounds and no `hepae.latent.spectra`.
    Restored columns are those of the codec, rounded to float32. If a codec has both mass and E, the graph gives both as the
    network does.

    The file's metadata properties are ``hepae``, ``part``, ``basis``, the JSON lists ``columns``, ``units`` and ``latents``,
    and ``model_sha256``, which is also that of the model file. Equal codecs give equal bytes.

    Parameters
    ----------
    codec
        What to export.
    path
        The ONNX file. It is written only after a check; if onnxruntime is installed, against the numbers of torch.
    part
        ``encoder``, ``decoder``, or None for both, one after the other.
    force
        Replace an output that exists.

    Raises
    ------
    ConfigError
        If onnx is not installed.
    CodecError
        If the encoder is asked for and the codec has none.
    OutputError
        If the file exists or cannot be written, or does not give the codec's numbers.
    """
    try:
        import onnx
    except ImportError:
        raise ConfigError("export needs onnx: pip install 'hepae[onnx]'") from None
    if part != "decoder" and not codec.has_encoder:
        raise CodecError("this model comes from a compressed file and has no encoder; add --part decoder")
    with atomic_output(path, force=force) as temporary:
        model = _model(codec, part)
        onnx.checker.check_model(model, full_check=True)
        content = model.SerializeToString(deterministic=True)
        _compare(content, codec.with_latent_bits(None).without_spectra(), part)
        temporary.write_bytes(content)


def _model(codec: LatentCodec, part: Part | None) -> Any:
    """Give the ONNX model, an ``onnx.ModelProto``."""
    from onnx import TensorProto, helper

    graph, jets, latents = _Graph(), len(codec.columns), len(codec.latent_names)
    values = inputs = "latents" if part == "decoder" else "jets"
    if part != "decoder":
        values = _forward(graph, codec.features, values)
        values = _network(graph, "encoder", codec.network.encoder, values)
    if part != "encoder":
        values = _network(graph, "decoder", codec.network.decoder, values)
        values = _inverse(graph, codec.features, values)
    # One name cannot be input and output of a graph at once.
    output = {"encoder": "latents", "decoder": "jets", None: "restored"}[part]
    graph.nodes[-1].output[0] = output

    def tensor(name: str) -> Any:
        width = latents if name == "latents" else jets
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width])

    model = helper.make_model(
        helper.make_graph(graph.nodes, "hepae", [tensor(inputs)], [tensor(output)], graph.initializers),
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="hepae",
        producer_version=__version__,
    )
    units = [kinematics.UNITS.get(name, "") for name in codec.columns]
    properties = {
        "hepae": __version__,
        "part": part or "encoder and decoder",
        "basis": codec.features.basis,
        "columns": json.dumps(codec.columns),
        "units": json.dumps(units),
        "latents": json.dumps(codec.latent_names),
        "model_sha256": codec.model_sha256,
    }
    helper.set_model_props(model, properties)
    return model


class _Graph:
    """Nodes and constants of a graph that grows; values are known by their names."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Append a node and give the name of its output."""
        from onnx import helper

        output = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, name: str, values: ArrayLike) -> str:
        """Hold an array and give its name."""
        from onnx import numpy_helper

        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name


def _forward(graph: _Graph, features: FeatureMap, jets: str) -> str:
    """What `FeatureMap.forward` does."""
    from onnx import TensorProto

    largest = graph.constant("largest", np.finfo(np.float32).max)
    known = graph.add("LessOrEqual", graph.add("Abs", jets), largest)  # false for NaN
    for sentinel in SENTINELS:
        name = graph.constant(f"sentinel{sentinel:g}", np.float32(sentinel))
        known = graph.add("And", known, graph.add("Not", graph.add("Equal", jets, name)))
    values = graph.add("Cast", jets, to=TensorProto.DOUBLE)
    values = graph.add("Where", known, values, graph.constant("fill", _each(features, "fill")))
    logarithmic = _each(features, "logarithmic").astype(bool)
    if logarithmic.any():
        # Of all columns, so that one node does: 1 is a floor that the others' logarithms, not used, can be taken of.
        floor = graph.constant("floor", np.where(logarithmic, _each(features, "floor"), 1.0))
        logarithms = graph.add("Log", graph.add("Max", values, floor))
        values = graph.add("Where", graph.constant("is_logarithmic", logarithmic), logarithms, values)
    values = graph.add("Sub", values, graph.constant("offset", _each(features, "offset")))
    values = graph.add("Div", values, graph.constant("scale", _each(features, "scale")))
    return graph.add("Cast", values, to=TensorProto.FLOAT)


def _inverse(graph: _Graph, features: FeatureMap, values: str) -> str:
    """What `FeatureMap.inverse` does."""
    from onnx import TensorProto

    values = graph.add("Cast", values, to=TensorProto.DOUBLE)
    values = graph.add("Mul", values, graph.constant("restored_scale", _each(features, "scale")))
    values = graph.add("Add", values, graph.constant("restored_offset", _each(features, "offset")))
    logarithmic = _each(features, "logarithmic").astype(bool)
    if logarithmic.any():
        lowest = np.log(np.where(logarithmic, _each(features, "floor"), 1.0))
        clipped = graph.add("Max", values, graph.constant("log_smallest", lowest))
        clipped = graph.add("Min", clipped, graph.constant("log_largest", np.float64(LOG_LARGEST)))
        powers = graph.add("Exp", clipped)
        values = graph.add("Where", graph.constant("is_power", logarithmic), powers, values)
    angle = np.array([name == "phi" for name in features.columns])
    if angle.any():
        half, whole = graph.constant("pi", np.float64(np.pi)), graph.constant("2pi", np.float64(2 * np.pi))
        above = graph.add("Greater", values, graph.constant("-pi", np.float64(-np.pi)))
        inside = graph.add("And", above, graph.add("LessOrEqual", values, half))
        outside = graph.add("And", graph.add("Not", inside), graph.constant("is_angle", angle))
        rest = graph.add("Mod", graph.add("Sub", half, values), whole, fmod=1)  # has the dividend's sign
        negative = graph.add("Less", rest, graph.constant("zero", np.float64(0)))
        rest = graph.add("Where", negative, graph.add("Add", rest, whole), rest)
        values = graph.add("Where", outside, graph.add("Sub", half, rest), values)
    return graph.add("Cast", values, to=TensorProto.FLOAT)


def _each(features: FeatureMap, name: str) -> FloatArray:
    """One number of each column's transform."""
    return np.array([getattr(transform, name) for transform in features.transforms], np.float64)


def _network(graph: _Graph, name: str, layers: Any, values: str) -> str:
    """Append the layers of an encoder or decoder, a ``torch.nn.Sequential`` as `Autoencoder` makes it."""
    for i, layer in enumerate(layers):
        weights = [  # in the order in which the operators take them
            graph.constant(f"{name}.{i}.{key}", tensor.detach().cpu().numpy())
            for key, tensor in layer.state_dict().items()
            if key != "num_batches_tracked"
        ]
        match type(layer).__name__:
            case "Linear" | "Float32Linear":
                values = graph.add("Gemm", values, *weights, transB=1)
            case "BatchNorm1d":
                values = graph.add("BatchNormalization", values, *weights, epsilon=layer.eps)
            case "Scaling":
                scale, offset = weights
                values = graph.add("Add", graph.add("Mul", values, scale), offset)
            case "Sinusoids":
                octaves = [np.float32(np.pi / 2 * 2**octave) for octave in range(layer.octaves)]
                angles = [
                    graph.add("Mul", values, graph.constant(f"{name}.{i}.{octave:g}", octave))
                    for octave in octaves
                ]
                angle = graph.add("Concat", *angles, axis=1)
                values = graph.add("Concat", values, graph.add("Sin", angle), graph.add("Cos", angle), axis=1)
            case "LeakyReLU":
                values = graph.add("LeakyRelu", values, alpha=layer.negative_slope)
            case "ReLU":
                values = graph.add("Relu", values)
            case "Tanh":
                values = graph.add("Tanh", values)
            case "SiLU":
                values = graph.add("Mul", values, graph.add("Sigmoid", values))
            case "GELU":  # x (1 + erf(x / √2)) / 2
                root = graph.constant(f"{name}.{i}.root", np.float32(np.sqrt(2)))
                one = graph.constant(f"{name}.{i}.one", np.float32(1))
                half = graph.constant(f"{name}.{i}.half", np.float32(0.5))
                error = graph.add("Erf", graph.add("Div", values, root))
                values = graph.add("Mul", graph.add("Mul", values, graph.add("Add", error, one)), half)
            case "Dropout":  # acts in training only
                pass
            case other:
                raise TypeError(f"no ONNX operators for a layer {other}")
    return values


def _compare(content: bytes, codec: LatentCodec, part: Part | None) -> None:
    """Run the graph on a few jets or latents and compare with the codec, where onnxruntime is installed."""
    try:
        import onnxruntime
    except ImportError:
        return
    low, high = np.array(codec.latent_range)
    random = np.random.default_rng(0)
    if part == "decoder":
        latents = random.uniform(low, high, (64, len(low))).astype(np.float32)
        inputs = latents
    else:
        inputs = _some_jets(codec.features, random)
        jets = ak.zip(dict(zip(codec.columns, inputs.T, strict=True)))
        coded = codec.latents(jets)
        latents = np.stack([ak.to_numpy(coded[name]) for name in codec.latent_names], axis=1)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (outputs,) = session.run(None, {session.get_inputs()[0].name: inputs})
    if part == "encoder":
        size = np.maximum(high - low, np.abs(latents))
        errors = np.abs(outputs - latents) / np.where(size > 0, size, 1)  # a dead latent is 0 for every jet
    else:
        restored = codec.jets(ak.zip(dict(zip(codec.latent_names, latents.T, strict=True))))
        expected = {name: kinematics.flat_column(restored, name) for name in restored.fields}
        found = dict(zip(codec.columns, outputs.T, strict=True))
        errors = _restored_errors(codec.features, found, expected)
    if not np.all(errors <= TOLERANCE):
        raise OutputError(
            f"the exported graph differs from the model by {np.max(errors):.1e}, more than {TOLERANCE:.0e}; nothing was written"
        )


def _some_jets(features: FeatureMap, random: np.random.Generator) -> NDArray[np.float32]:
    """Jets like those of the training, and some whose values are replaced."""
    low, high = (-2.0, 2.0) if features.basis == "standard" else (0.0, 1.0)
    jets = features.inverse(random.uniform(low, high, (64, len(features.columns))))
    usual = np.stack([jets[name] for name in features.columns], axis=1)
    replaced = np.repeat(
        np.array([[np.nan], [np.inf], [-np.inf], *([each] for each in SENTINELS)]), usual.shape[1], axis=1
    )
    floor = np.where(_each(features, "logarithmic"), 0.0, _each(features, "fill"))
    return np.concatenate([usual, replaced, floor[None]]).astype(np.float32)


def _restored_errors(
    features: FeatureMap, found: Mapping[str, ArrayLike], expected: Mapping[str, ArrayLike]
) -> FloatArray:
    """Differences of restored float32 columns beyond float32's own, as a share of the feature where above 1."""
    errors = []
    for transform in features.transforms:
        if transform.column not in expected:
            continue  # E of a model that has the mass as well
        one = np.asarray(found[transform.column], np.float64)
        other = np.asarray(expected[transform.column], np.float64)
        gap = np.abs(one - other)
        if transform.column == "phi":
            gap = np.abs(kinematics.wrap_phi(gap))
        slope = transform.scale * (np.abs(other) if transform.logarithmic else 1.0)
        rounding = np.spacing(np.abs(other).astype(np.float32)).astype(np.float64)
        # The network's own rounding grows with what it gives, which lies near 1 for jets like those it saw.
        size = np.maximum(1.0, np.abs(transform.forward(other)))
        errors.append(np.maximum(gap - rounding, 0) / slope / size)
    return np.stack(errors, axis=1)
