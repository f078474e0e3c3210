from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from time import process_time

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import hepae
from hepae.bounded import prediction
from hepae.bounded.bytestream import Reader, Writer
from hepae.bounded.jet_order import Ranks
from hepae.bounded.prediction import Coded
from hepae.bounded.streams import HEADER, write_stream
from hepae.errors import CodecError

ANY = st.integers(-(2**63), 2**63 - 1)
MOMENTUM = ("pt", "phi")


def encode(columns, counts, momentum=None, values=None):
    ranks = Ranks.of(len(next(iter(columns.values()), ())), counts)
    known = {name: column(ranks, name, integers, values) for name, integers in columns.items()}
    return prediction.encode(known, momentum)


def column(ranks, name, integers, values):
    restored = None if values is None else partial(values, name, integers)
    return prediction.Column(ranks, integers, restored=restored)


def decode(coded, length, counts, values=None):
    """Decode each column from its stream and its parents alone."""
    ranks = Ranks.of(length, counts)
    known = {}
    for name, (parents, stream) in coded.items():
        reader = Reader(stream)
        integers = prediction.decode(reader, HEADER, ranks, [known[parent] for parent in parents])
        known[name] = column(ranks, name, integers.astype(np.int64), values)
        with pytest.raises(CodecError):
            reader.raw(1)
    return {name: some.integers for name, some in known.items()}


def round_trip(columns, counts, momentum=None, values=None):
    coded = encode(columns, counts, momentum, values)
    names = list(columns)
    for name, (parents, _) in coded.items():
        assert len(set(parents)) == len(parents) <= 4
        assert all(names.index(parent) < names.index(name) for parent in parents)
    found = decode(coded, len(next(iter(columns.values()))), counts, values)
    for name, integers in columns.items():
        assert found[name].dtype == np.int64
        assert np.array_equal(found[name], integers), name
    return b"".join(stream for _, stream in coded.values())


def alone(integers):
    """Bytes of a column that is coded as it is."""
    out = Writer()
    write_stream(out, integers, ordered=True)
    return len(out.content())


def restored(_, integers):
    return integers * 0.01 + 20.0


def jets(events=4000, most=6, seed=0):
    """Events whose jets fall in pt and balance in phi, as integers; no libm, so that every machine has the same."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, most, events)
    length = int(counts.sum())
    first = np.repeat(np.cumsum(counts) - counts, counts)
    rank = np.arange(length) - first
    hardest = rng.integers(0, 8000, events)
    pt = np.repeat(hardest, counts) * 10 // (10 + 7 * rank) + rng.integers(0, 40, length)
    away = np.repeat(rng.integers(0, 3142, events), counts) + 1571 * rank
    columns = {
        "pt": pt,
        "eta": rng.integers(-2500, 2500, length),
        "phi": (away + rng.integers(-60, 60, length)) % 3142 - 1571,
        "mass": pt // 10 + rng.integers(-9, 9, length) * (1 + pt // 4000),
    }
    return columns, counts


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_any_integers_come_back(data):
    counts = np.array(data.draw(st.lists(st.integers(0, 7), max_size=12)), np.int64)
    length = int(counts.sum())
    elements = st.one_of(st.integers(-5, 5), ANY)
    columns = {n: data.draw(arrays(np.int64, length, elements=elements)) for n in ("pt", "phi", "c")}
    round_trip(columns, counts, MOMENTUM, restored)
    round_trip(columns, None)


@given(st.integers(0, 2**32), st.integers(0, 63), st.integers(0, 63), st.booleans())
@settings(max_examples=30, deadline=None)
def test_any_width_comes_back_when_columns_know_of_each_other(seed, bits, noise, jagged):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 60, 40) if jagged else None
    length = int(counts.sum()) if jagged else 700
    base = rng.integers(-(2**bits), 2**bits - 1, length)
    with np.errstate(over="ignore"):
        columns = {
            "pt": base,
            "b": base + (rng.integers(-(2**noise), 2**noise - 1, length)),
            "phi": -3 * base,
        }
    columns["b"][rng.random(length) < 0.01] = rng.choice([-(2**63), 2**63 - 1])
    round_trip(columns, counts, MOMENTUM, restored)


@pytest.mark.parametrize("counts", [[1000], [0, 0], [1], [], [300, 0, 1, 70, 500], [32, 33, 64, 65, 31]])
def test_events_of_any_size(counts):
    counts = np.array(counts, np.int64)
    rng = np.random.default_rng(5)
    columns = {n: rng.integers(-3000, 3000, int(counts.sum())) for n in ("pt", "eta", "phi", "mass")}
    round_trip(columns, counts, MOMENTUM, restored)


def test_few_jets_are_few_bytes():
    columns, counts = jets(events=4)
    assert len(round_trip(columns, counts, MOMENTUM, restored)) < 8 * 4 * len(columns["pt"]) / 2 + 40
    assert len(round_trip({n: v[:1] for n, v in columns.items()}, np.array([1]))) < 50
    assert len(round_trip({n: v[:0] for n, v in columns.items()}, np.array([0, 0]))) < 5


def test_jets_without_momentum_and_no_columns_at_all():
    columns, counts = jets()
    round_trip(columns, counts)
    assert prediction.encode({}, None) == {}


def test_each_column_gains_from_what_is_known():
    columns, counts = jets(20_000)
    length = len(columns["pt"])
    spent, before = {}, 0
    for name in columns:
        some = {n: columns[n] for n in list(columns)[: list(columns).index(name) + 1]}
        total = len(round_trip(some, counts, MOMENTUM, restored))
        spent[name] = (total - before) / alone(columns[name])
        before = total
    assert spent["pt"] < 0.85
    assert spent["phi"] < 0.87
    assert spent["mass"] < 0.7
    assert spent["eta"] < 1 + 100 / length


def test_many_columns_gain_from_each_other():
    rng = np.random.default_rng(6)
    base = rng.normal(0, 1000, 20_000)
    columns = {f"c{i}": np.rint(base * (i + 1) + rng.normal(0, 5, 20_000)).astype(np.int64) for i in range(8)}
    assert len(round_trip(columns, None)) < 0.6 * sum(map(alone, columns.values()))


def test_a_copy_costs_nothing_and_noise_no_more_than_alone():
    rng = np.random.default_rng(7)
    noise = rng.integers(-(2**40), 2**40, 50_000)
    columns = {"noise": noise, "copy": noise, "other": rng.integers(0, 2**16, 50_000)}
    assert len(round_trip(columns, None)) < alone(noise) + alone(columns["other"]) + 100


def test_columns_in_the_order_of_the_file_are_coded_in_that_order():
    counts = np.random.default_rng(8).integers(0, 5, 20_000)
    column = np.arange(int(counts.sum())) * 1000 + 5
    assert len(round_trip({"number": column}, counts)) < 100


def test_two_jets_that_cancel_exactly_have_a_direction():
    counts = np.full(2000, 3)
    phi = np.tile(np.array([-1000, 571, 3], np.int64), 2000)
    columns = {"pt": np.full(6000, 100, np.int64), "phi": phi}
    round_trip(columns, counts, MOMENTUM, lambda _, i: i * 1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -5.0, 0.0, 1e300])
def test_a_pt_that_makes_no_sense_does_no_harm(value):
    columns, counts = jets(500)
    round_trip(columns, counts, MOMENTUM, lambda _, i: np.where(i % 3 == 0, value, 1.0))


def test_damaged_streams_are_refused_and_take_no_memory():
    columns, counts = jets(500)
    coded = encode(columns, counts, MOMENTUM, restored)
    length = int(counts.sum())
    for name, (parents, stream) in coded.items():
        for cut in range(0, len(stream), max(1, len(stream) // 15)):
            with pytest.raises(CodecError):
                decode({**coded, name: Coded(parents, stream[:cut])}, length, counts, restored)
    with pytest.raises(CodecError, match="jets"):
        decode(coded, length + 1, counts, restored)
    with pytest.raises(CodecError, match="jets"):
        decode(coded, length, -counts, restored)


def test_changed_bytes_give_integers_or_an_error():
    columns, counts = jets(300)
    coded = encode(columns, counts, MOMENTUM, restored)
    length = int(counts.sum())
    ranks = Ranks.of(length, counts)
    parents = [column(ranks, "pt", columns["pt"], restored), column(ranks, "eta", columns["eta"], restored)]
    rng = np.random.default_rng(9)
    refused = 0
    for _ in range(400):
        name = str(rng.choice(list(columns)))
        damaged = bytearray(coded[name].stream)
        damaged[rng.integers(len(damaged) if rng.random() < 0.5 else min(100, len(damaged)))] = rng.integers(
            256
        )
        some = parents[: rng.integers(3)]
        try:
            found = prediction.decode(Reader(bytes(damaged)), HEADER, ranks, some)
        except CodecError:
            refused += 1
        else:
            assert found.shape == (length,)
    assert refused > 0


def related(number, rows, seed=1):
    """Columns of which each is a sum of two of ten common ones and noise."""
    rng = np.random.default_rng(seed)
    common = rng.integers(-20_000, 20_000, (10, rows))
    noise = rng.integers(-500, 500, (number, rows))
    return {
        f"c{i}": common[i % 10] * (i % 3 + 1) // 2 + common[i // 10 % 10] + noise[i] for i in range(number)
    }


def test_phi_has_pt_as_its_first_parent_where_the_recoil_predicts_it(sample):
    real = hepae.read_jets(sample)
    values = {name: ak.to_numpy(ak.flatten(real[name])) for name in ("eta", "pt", "phi")}
    columns = {name: np.rint(some * 500).astype(np.int64) for name, some in values.items()}
    counts = ak.to_numpy(ak.num(real)).astype(np.int64)
    coded = encode(columns, counts, MOMENTUM, lambda _, integers: integers / 500)
    assert coded["phi"].parents[0] == "pt"
    assert len(coded["phi"].stream) < 0.97 * len(encode(columns, counts)["phi"].stream)
    data, ranks = Reader(coded["phi"].stream), Ranks.of(len(columns["pt"]), counts)
    with pytest.raises(CodecError, match="recoil"):
        prediction.decode(data, HEADER, ranks, [])


def test_phi_after_many_columns_has_at_most_four_parents():
    columns, counts = jets(4000)
    phi = columns.pop("phi")
    columns |= {f"c{i}": phi + values for i, values in enumerate(related(8, len(phi)).values())} | {
        "phi": phi
    }
    round_trip(columns, counts, MOMENTUM, restored)


def test_time_is_linear_in_the_number_of_columns():
    columns = related(320, 1000)
    seconds = {}
    for number in (320, 80, 320, 80):
        some = dict(list(columns.items())[:number])
        start = process_time()
        encode(some, None)
        seconds[number] = min(process_time() - start, seconds.get(number, 1e9))
    assert seconds[320] < 7 * seconds[80]


@pytest.mark.parametrize(
    ("bounds", "most"),
    [
        ({"pt": "0.1%", "eta": 1e-3, "phi": 1e-3, "mass": "1%+1MeV"}, 4.77),
        ({"pt": "1%", "eta": 1e-2, "phi": 1e-2, "mass": "5%"}, 3.25),
        ({"pt": "0.01%", "eta": 1e-4, "phi": 1e-4, "mass": "0.1%"}, 6.44),
    ],
)
def test_bytes_of_real_jets(data, bounds, most):
    jets = hepae.read_jets(data / "pythia_dijets.root")[["pt", "eta", "phi", "mass"]]
    compressed = hepae.BoundedCodec(bounds).compress(ak.values_astype(jets, np.float32))
    assert compressed.nbytes / int(compressed.counts.sum()) < most


def digest():
    """Checksum of jets' streams, and of those of a table with more columns than are compared with each other."""
    columns, counts = jets(6000)
    coded = encode(columns, counts, MOMENTUM, restored)
    assert all(
        np.array_equal(decode(coded, int(counts.sum()), counts, restored)[n], columns[n]) for n in columns
    )
    return hashlib.sha256(repr((coded, encode(related(100, 1500), None))).encode()).hexdigest()


@pytest.mark.parametrize(
    "environment",
    [
        {"OMP_NUM_THREADS": "1", "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"},
        {"OMP_NUM_THREADS": "2", "OPENBLAS_CORETYPE": "Nehalem"},
        {"OMP_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": "X86_V4"},
    ],
)
def test_bytes_do_not_depend_on_the_processor(environment):
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import test_prediction; print(test_prediction.digest())"],
        env={**os.environ, **environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest()


def test_long_sorted_lists_are_told_from_the_number_before():
    """Candidates by falling pt: the one before says where the next one is, and how far off."""
    rng = np.random.default_rng(3)
    counts = rng.poisson(250, 60)
    lists = [np.sort((200 * np.log1p(rng.pareto(2, count))).astype(np.int64))[::-1] for count in counts]
    integers = np.concatenate(lists)
    plain = Writer()
    write_stream(plain, integers, ordered=True)
    coded = encode({"pt": integers}, counts)["pt"]
    assert len(coded.stream) < 0.9 * len(plain.content())
    assert np.array_equal(decode({"pt": coded}, len(integers), counts)["pt"], integers)


def test_a_column_is_coded_as_it_is_where_a_model_is_no_help():
    """Numbers without any order: what is coded is no longer than they are by themselves."""
    rng = np.random.default_rng(4)
    integers = rng.integers(0, 1000, 60_000)
    coded = encode({"eta": integers}, np.full(6000, 10))["eta"]
    plain = Writer()
    write_stream(plain, integers, ordered=True)
    assert len(coded.stream) <= len(plain.content()) + 1
