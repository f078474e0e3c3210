"""What is private in coffea and used all the same: made for one release, and one line where it is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from coffea.nanoevents import BaseSchema, NanoEventsFactory

import hepae
from hepae.processors import nanoevents, restore

ROOT = Path(__file__).parents[2]


def test_the_private_members_are_those_of_the_coffea_that_is_tested_with():
    pinned = re.search(r"^coffea==(\d+\.\d+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert pinned[1] == nanoevents.MADE_FOR


def test_private_members_are_touched_in_one_module():
    pattern = r"\b(?:_schema|_mapping|_partition_key|_column_source|_extract_base_form)\b|@events_factory|nanoevents.*transforms\b"
    for path in (ROOT / "hepae" / "processors").rglob("*.py"):
        if path.name != "nanoevents.py":
            assert not re.findall(pattern, path.read_text()), path


@pytest.mark.parametrize("member", ["_schema", "_mapping", "_partition_key"])
def test_another_coffea_is_one_line(sample, tmp_path, member):
    path = tmp_path / "compressed.root"
    hepae.compress_file(sample, path, hepae.BoundedCodec(), entry_stop=10)
    events = NanoEventsFactory.from_root({str(path): "Events"}, schemaclass=BaseSchema).events()
    delattr(events.attrs["@events_factory"], member)
    with pytest.raises(
        hepae.InputError, match=r"made for coffea 2026\.9 .*install coffea==2026\.9\.\*"
    ) as raised:
        restore(events)
    assert "\n" not in str(raised.value)
