from __future__ import annotations

import json
import pickle
import subprocess
import sys
from fractions import Fraction

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepae.errors import InputError
from hepae.kinematics import column_residual, flat_column, momenta, wrap_phi
from hepae.validation.residuals import Residuals, ResidualSums, residuals

KEYS = ["unit", "max_abs", "max_rel", "mean", "median", "std", "p68", "p99", "violations", "non_finite"]


class Within:
    """A promised bound: ``rel`` · |original| + ``abs``."""

    def __init__(self, rel: float, abs_: float) -> None:
        self.rel, self.abs = rel, abs_

    def allowed(self, original):
        return self.rel * np.abs(original) + self.abs


@pytest.fixture(scope="module")
def jets():
    """(original, restored) in lists per event, some of them empty."""
    rng = np.random.default_rng(9)
    counts = rng.poisson(3, 2000)
    n = counts.sum()
    pt = 20 + rng.exponential(40, n)
    original = {
        "pt": pt,
        "eta": rng.normal(0, 1.5, n),
        "phi": wrap_phi(rng.uniform(-np.pi, np.pi, n)),
        "mass": pt * rng.uniform(0.05, 0.2, n),
        "girth": rng.uniform(0, 0.3, n),
    }
    restored = {
        "pt": original["pt"] * (1.001 + rng.normal(0, 0.01, n)),
        "eta": original["eta"] + rng.normal(0, 0.002, n),
        "phi": wrap_phi(original["phi"] + rng.normal(0.05, 0.2, n)),
        "mass": original["mass"] * (1 + rng.normal(0, 0.03, n)),
        "girth": original["girth"] + rng.normal(0, 1e-3, n),
    }
    return tuple(
        momenta({name: ak.unflatten(values, counts) for name, values in columns.items()})
        for columns in (original, restored)
    )


def single(column: str, original, restored, **options):
    """Residuals of one column of jets that are otherwise equal."""
    n = len(original)
    others = {"pt": np.full(n, 30.0), "eta": np.zeros(n), "phi": np.zeros(n), "mass": np.ones(n)}
    pair = (momenta(others | {column: np.asarray(values)}) for values in (original, restored))
    return residuals(*pair, [column], **options)[column]


@pytest.mark.parametrize("column", ["pt", "eta", "phi", "mass", "E", "girth"])
def test_numbers_are_those_of_a_direct_computation(jets, column):
    before, after = (flat_column(part, column) for part in jets)
    change = after - before
    if column == "phi":
        change = np.angle(np.exp(1j * change))
    residual = change / np.abs(before) if column in ("pt", "mass", "E") else change
    found = residuals(*jets)[column]
    assert found.max_abs == pytest.approx(np.abs(change).max(), rel=1e-12)
    assert found.mean == pytest.approx(residual.mean(), rel=1e-9, abs=1e-15)
    assert found.std == pytest.approx(residual.std(), rel=1e-12)
    for name, value in {
        "median": np.median(residual),
        "p68": (np.quantile(residual, 0.84) - np.quantile(residual, 0.16)) / 2,
        "p99": np.quantile(np.abs(residual), 0.99),
    }.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-3), name
    if column in ("eta", "phi"):
        assert found.max_rel is None
    else:
        assert found.max_rel == pytest.approx(np.abs(change / before).max(), rel=1e-12)
    assert found.violations is None
    assert found.non_finite == 0


def test_columns_and_units(jets):
    found = residuals(*jets)
    assert list(found) == ["pt", "eta", "phi", "mass", "E", "girth"]
    assert [found[name].unit for name in found] == ["GeV", "", "rad", "GeV", "GeV", ""]
    assert found.jets == len(flat_column(jets[0], "pt"))
    assert found.events == 2000
    assert list(residuals(*jets, ["mass"])) == ["mass"]


def test_dictionary_is_json_and_complete(jets):
    columns = json.loads(json.dumps(residuals(*jets).to_dict(), allow_nan=False))["columns"]
    assert all(list(numbers) == KEYS for numbers in columns.values())


@pytest.mark.parametrize(("events", "size"), [(50, 1), (500, 7), (2000, 333), (2000, 1999)])
def test_chunks_give_the_same_bits(jets, events, size):
    original, restored = (part[:events] for part in jets)
    bounds = {"pt": Within(0.01, 0.0)}
    parts = []
    for start in range(0, len(original), size):
        part = ResidualSums(bounds=bounds)
        part.fill(original[start : start + size], restored[start : start + size])
        parts.append(pickle.loads(pickle.dumps(part)))
    backwards = sum(reversed(parts[:-1]), start=parts[-1])
    assert backwards.result() == residuals(original, restored, bounds=bounds)


def test_filling_and_adding_are_the_same(jets):
    original, restored = jets
    filled = ResidualSums()
    added = ResidualSums()
    for start in range(0, len(original), 500):
        chunk = slice(start, start + 500)
        filled.fill(original[chunk], restored[chunk])
        part = ResidualSums()
        part.fill(original[chunk], restored[chunk])
        added = added + part
    assert filled.result() == added.result()


def test_adding_changes_neither_part(jets):
    original, restored = jets
    one, two = ResidualSums(), ResidualSums()
    one.fill(original[:100], restored[:100])
    two.fill(original[100:], restored[100:])
    before = one.result(), two.result()
    total = one + two
    total.fill(original, restored)
    assert (one.result(), two.result()) == before


def test_an_empty_part_adds_nothing(jets):
    filled = ResidualSums()
    filled.fill(*jets)
    for total in (ResidualSums() + filled, filled + ResidualSums()):
        assert total.result() == filled.result()
        total.fill(*jets)
    assert filled.result().jets == len(flat_column(jets[0], "pt"))


@given(
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=60),
    st.integers(0, 60),
)
def test_sums_are_exact_for_any_floats(values, cut):
    zeros = np.zeros(len(values))
    found = single("girth", zeros, values)
    mean = float(sum(map(Fraction, values)) / len(values))
    assert found.mean == pytest.approx(mean, rel=1e-12, abs=1e-320)
    assert found.max_abs == max(map(abs, values))
    scale = max(found.max_abs, 1e-300)
    assert found.std == pytest.approx(scale * np.std(np.array(values) / scale), rel=1e-7, abs=1e-7 * scale)
    parts = []
    for part in (slice(None, cut), slice(cut, None)):
        sums = ResidualSums(["girth"])
        sums.fill(*(momenta(_with_girth(array[part])) for array in (zeros, np.array(values))))
        parts.append(sums)
    assert (parts[1] + parts[0]).result()["girth"] == found


def _with_girth(values):
    same = {name: np.ones(len(values)) for name in ("pt", "eta", "phi", "mass")}
    return same | {"girth": values}


@given(st.lists(st.floats(-1e30, 1e30).filter(lambda x: x == 0 or abs(x) > 1e-30), min_size=1, max_size=200))
def test_quantiles_are_as_precise_as_documented(values):
    found = single("girth", np.zeros(len(values)), values)
    for fraction, got, sample in ((0.5, found.median, values), (0.99, found.p99, np.abs(values))):
        around = np.quantile(sample, fraction, method="lower"), np.quantile(sample, fraction, method="higher")
        assert abs(got - np.quantile(sample, fraction)) <= 2**-11 * 1.001 * np.abs(around).max()


def test_integer_residuals_have_exact_quantiles():
    found = single("n", [10, 10, 10, 10], [11, 11, 11, 13])
    assert (found.median, found.max_abs, found.mean) == (1.0, 3.0, 1.5)


def test_phi_goes_around_the_circle():
    found = single("phi", [3.1, -3.1, 0.0], [-3.1, 3.1, 0.0])
    assert found.max_abs == pytest.approx(2 * np.pi - 6.2)
    assert found.mean == pytest.approx(0, abs=1e-15)
    assert column_residual("phi", np.pi, -np.pi) == 0


def test_sign_of_spacelike_masses():
    # A spacelike jet whose mass came back 10 % larger, that is less negative: +10 % of |mass|.
    found = single("mass", [-2.0], [-1.8])
    assert found.mean == pytest.approx(0.1)
    assert found.max_rel == pytest.approx(0.1)


def test_equal_residuals_have_no_width():
    found = single("eta", np.zeros(1000), np.full(1000, 0.1))
    assert found.mean == 0.1
    assert found.std == pytest.approx(0, abs=1e-8)
    assert found.p68 == 0


def test_what_is_not_finite_is_counted_and_left_out():
    original = np.array([1.0, np.nan, np.inf, 2.0, np.nan, -np.inf])
    restored = np.array([1.5, np.nan, np.inf, np.nan, 2.0, np.inf])
    found = single("girth", original, restored)
    assert found.non_finite == 3
    assert found.mean == pytest.approx(0.5 / 3)
    assert found.max_abs == 0.5
    assert found.max_rel == 0.5


def test_a_zero_that_changed_has_no_relative_residual():
    found = single("mass", [0.0, 0.0, 4.0], [0.0, 0.3, 5.0])
    assert found.non_finite == 1
    assert found.mean == pytest.approx(0.125)
    assert found.max_abs == 1.0
    assert found.max_rel == 0.25
    # Of other columns the residual is absolute, and a zero is a value as any other.
    found = single("girth", [0.0, 0.0, 4.0], [0.0, 0.3, 5.0])
    assert (found.non_finite, found.max_rel) == (0, 0.25)
    assert found.mean == pytest.approx(1.3 / 3)


def test_nothing_finite_gives_no_numbers():
    found = single("pt", [1.0, 2.0], [np.nan, np.inf])
    assert found.to_dict() == {
        **dict.fromkeys(KEYS),
        "unit": "GeV",
        "non_finite": 2,
    }


def test_no_jets():
    nothing = momenta({name: ak.Array([[], []]) for name in ("pt", "eta", "phi", "mass")})
    found = residuals(nothing, nothing)
    assert (found.jets, found.events) == (0, 2)
    assert found["E"].mean is None


def test_violations_are_counted_on_the_absolute_error():
    bounds = {"pt": Within(0.01, 0.0), "phi": Within(0.0, 0.05), "girth": Within(0.0, 0.0)}
    assert single("pt", [100.0, 100.0, 0.0], [101.0, 101.01, 0.1], bounds=bounds).violations == 2
    assert single("phi", [3.14, 3.14], [-3.14, -3.0], bounds=bounds).violations == 1
    assert (
        single("girth", [np.nan, np.inf, 1.0, np.nan], [np.nan, np.inf, 1.0, 0.0], bounds=bounds).violations
        == 1
    )
    assert single("eta", [0.0], [1.0], bounds=bounds).violations is None
    relative = {"girth": Within(0.01, 0.0)}  # 1 % of an infinity is one, too
    changed = single("girth", [np.inf, np.inf, -np.inf], [5.0, np.inf, np.inf], bounds=relative)
    assert changed.violations == 2


def test_flat_jets(jets):
    flat = [ak.flatten(part) for part in jets]
    found = residuals(*flat)
    assert found.columns == residuals(*jets).columns
    assert found.events == found.jets


def test_other_jets_are_refused(jets):
    original, restored = jets
    with pytest.raises(InputError, match="differ in number or in their events"):
        residuals(original, restored[:-1])
    with pytest.raises(InputError, match="in a flat list"):
        residuals(original, ak.flatten(restored))
    shifted = ak.unflatten(ak.flatten(restored), np.roll(ak.to_numpy(ak.num(restored)), 1))
    with pytest.raises(InputError, match=r"\d+ in 2000 events"):
        residuals(original, shifted)
    with pytest.raises(InputError, match="do not share a column charge"):
        residuals(original, restored, ["pt", "charge"])


def test_sums_of_other_columns_do_not_add_up():
    one, two = ResidualSums(["pt"]), ResidualSums(["eta"])
    with pytest.raises(ValueError, match="other columns"):
        one + two


def test_result_is_a_small_named_type(jets):
    found = residuals(*jets)
    assert isinstance(found, Residuals)
    with pytest.raises(AttributeError):
        found.jets = 3


def test_text_columns_are_not_compared():
    columns = {name: [1.0] for name in ("pt", "eta", "phi", "mass")} | {"label": ["b"], "b_tagged": [True]}
    assert list(residuals(momenta(columns), momenta(columns))) == [
        "pt",
        "eta",
        "phi",
        "mass",
        "E",
        "b_tagged",
    ]


def test_numbers_need_no_drawing():
    code = "import sys, hepae.comparison, hepae.validation.counts; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_real_jets_cut_to_half_precision(data):
    import uproot

    with uproot.open(data / "pythia_dijets.root") as file:
        arrays = file["Events"].arrays([f"Jet_{name}" for name in ("pt", "eta", "phi", "mass")])
    columns = {name.removeprefix("Jet_"): arrays[name] for name in arrays.fields}
    half = {name: ak.values_astype(values, np.float16) for name, values in columns.items()}
    found = residuals(momenta(columns), momenta(half))
    assert found.jets == 181_295
    assert 2**-11 * 0.99 < found["pt"].max_rel <= 2**-11
    assert found["pt"].std == pytest.approx(2.06e-4, rel=0.01)


def test_a_bound_of_a_derived_column_is_counted():
    """A file of E is coded under the bounds of pt, eta, phi and mass: all of them have to be checked."""
    columns = {"pt": [50.0, 50.0, 50.0], "eta": [0.0, 1.0, 2.0], "phi": [0.0, 1.0, 2.0]}
    jets = momenta(columns | {"mass": [5.0, 5.0, 5.0]})
    before = momenta(columns | {"E": jets.E})
    after = momenta(columns | {"E": momenta(columns | {"mass": [5.0, 5.04, 5.06]}).E})
    found = residuals(before, after, bounds={"mass": Within(0.01, 0.0), "pt": Within(0.001, 0.0)})
    assert found["mass"].violations == 1
    assert found["pt"].violations == 0
    assert found["E"].violations is None
