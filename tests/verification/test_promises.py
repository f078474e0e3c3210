from __future__ import annotations

import pytest

from hepae.bounds import Bound, Bounds, Edges
from hepae.errors import ConfigError
from hepae.files.coded_columns import CodedColumns
from hepae.files.compressed import CompressedFile
from hepae.files.history import History, Step
from hepae.io.layouts import Collection, Column
from hepae.verification.promises import Promise, Promises

JET = Collection(
    "Jet", tuple(Column(n, f"Jet_{n}", "<f4") for n in ("pt", "eta", "phi", "E", "hits")), "nJet"
)


def bounds_of(promise):
    return {name: str(bound) for name, bound in promise.bounds.items()}


def test_a_compressed_file_promises_what_it_was_compressed_with(files, bounds):
    with CompressedFile(files[1]) as file:
        promises = Promises.of_compressed(file)
    ((begin, end, promised),) = promises.ranges
    assert (begin, end, {*promised}) == (0, 300, {"Jet"})
    asked = {name: str(Bound.parse(bound)) for name, bound in bounds.items()}
    assert {name: bounds_of(promised["Jet"])[name] for name in bounds} == asked
    assert {name: edges.values for name, edges in promised["Jet"].edges.items()} == {"pt": (30, 50)}


def test_a_history_promises_the_sum_of_what_came_after_a_generation():
    def step(bound, *left_out):
        coded = CodedColumns("GeV", ("pt", "gone"), {"pt": Bound.parse(bound), "gone": None}, {})
        return Step("subtractive_dither", "hepae", {"Jet": coded, "Other": coded}, left_out=left_out)

    history = History((step("0.1%", "MET"), step("1%", "run")))
    of = [Promises.of_history(history, generation, {"Jet": JET}, 7) for generation in (0, 1)]
    assert [bounds_of(promises.collections["Jet"]) for promises in of] == [{"pt": "1.101%"}, {"pt": "1%"}]
    assert [promises.left_out for promises in of] == [{"MET", "run"}, {"run"}]
    assert of[0].collections.keys() == {"Jet"}
    assert of[0].collections["Jet"].coded == ("pt",)
    assert of[0].ranges[0][:2] == (0, 7)


def test_a_history_knows_the_unit_of_a_file_whose_values_do_not_tell():
    coded = CodedColumns("MeV", ("pt",), {"pt": Bound.parse("1MeV")})
    history = History((Step("subtractive_dither", "hepae", {"Jet": coded}),))
    assert Promises.of_history(history, 0, {"Jet": JET}, 7).collections["Jet"].collection.unit == "MeV"


def test_a_user_accepts_more_or_less_of_some_columns():
    promised = Promise(JET, ("pt", "eta"), {"pt": Bound.parse("1%"), "eta": Bound.parse("0.1")})
    promises = Promises("a file", ((0, 5, {"Jet": promised}),))
    assert promises.accepting(Bounds.parse({}, {}), [JET]) is promises
    asked = Bounds.parse({"pt": "2%", "hits": "3"}, {"pt": [30]})
    accepted = promises.accepting(asked, [JET])
    jets = accepted.collections["Jet"]
    assert bounds_of(jets) == {"pt": "2%", "eta": "0.1", "hits": "3"}
    assert jets.coded == ("pt", "eta", "hits")
    assert jets.edges.keys() == {"pt"}
    assert accepted.origin == "the bounds that were given"
    with pytest.raises(ConfigError, match="charge"):
        promises.accepting(Bounds.parse({"charge": "1"}), [JET])


def test_where_nothing_is_promised_only_what_is_stated_may_change():
    accepted = Promises.exact(5).accepting(Bounds.parse({"mass": "1%"}), [JET]).collections["Jet"]
    assert bounds_of(accepted) == {"mass": "1%"}
    assert accepted.derived == ("mass",)
    assert "E" in accepted.coded
    assert "E" not in accepted.own
    assert "hits" not in accepted.coded


def test_ranges_are_cut_to_the_events_that_are_asked_for():
    one, two = (Promise(JET, ("pt",), {}, {"pt": Edges((edge,), "GeV")}) for edge in (1.0, 2.0))
    promises = Promises("a file", ((0, 10, {"Jet": one}), (10, 30, {"Jet": two})))
    assert promises.within(5, 12) == [(5, 10, {"Jet": one}), (10, 12, {"Jet": two})]
    assert promises.within(10, 12) == [(10, 12, {"Jet": two})]
