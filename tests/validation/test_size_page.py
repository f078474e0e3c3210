from __future__ import annotations

import re

from hepae.files.sizes import Size
from hepae.validation.size_page import size_page


def page(*, estimated):
    branches = [
        Size("Events", "Jet", "Jet_<pt>", 3000, 1000 if estimated else None),
        Size("Events", "MET", "MET_pt", 1000, 500 if estimated else None),
    ]
    whole = Size("", "", "whole file", 5000, 2000 if estimated else None)
    rest = Size("", "", "records and objects", 1000, 500 if estimated else None)
    return size_page("jets.root", 100, whole, rest, branches, branches, sampled=20, note="a <note>")


def test_the_page_has_all_branches_and_sorts_them():
    text = page(estimated=True)
    assert "Jet_&lt;pt&gt;" in text
    assert "a &lt;note&gt;" in text
    assert "estimated from 20 events" in text
    assert text.count('<table class="sortable">') == 2
    row = re.search(r"<tr>[^\n]*MET_pt.*?</tr>", text, re.DOTALL)[0]
    assert re.findall(r'data-value="([\d.]+)"', row) == ["1000", "10.0", "0.2", "500", "0.5"]
    assert "http" not in text.replace('http-equiv="Content', "")


def test_without_an_estimate_there_is_no_column_for_it():
    text = page(estimated=False)
    assert "estimate</th>" not in text
    assert "None" not in text
