from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import BaseSchema, NanoEventsFactory

import hepae
from hepae.errors import InputError
from hepae.files import checked_tree
from hepae.io import checksums


@pytest.fixture(autouse=True)
def short_ranges(monkeypatch):
    """Ranges of 500 events, so that a small file has several."""
    monkeypatch.setattr(checksums, "RANGE", 500)
    monkeypatch.setattr(checked_tree, "RANGE", 500)


@pytest.fixture(params=["ttree", "rntuple"])
def latents(request, make_tree, codec, tmp_path):
    """Latents of 2000 events, and a column that no model codes; one value of each is known by its bytes."""
    counts = np.arange(2000) % 4
    rng = np.random.default_rng(1)
    columns = {name: rng.uniform(20, 90, counts.sum()).astype(np.float32) for name in ("pt", "mass", "btag")}
    columns |= {name: rng.uniform(-2, 2, counts.sum()).astype(np.float32) for name in ("eta", "phi")}
    columns["btag"][1000] = 12345.678
    arrays = {f"Jet_{name}": ak.unflatten(values, counts) for name, values in columns.items()}
    path = make_tree({"event": np.arange(2000), **arrays}, counters=dict.fromkeys(arrays, "nJet"))
    small = tmp_path / "small.root"
    hepae.compress_file(path, small, codec, storage=request.param, compression="lz4:1")
    return small, np.float32(12345.678), int(np.searchsorted(np.cumsum(counts), 1000, side="right"))


def _restored(path, start, stop):
    factory = NanoEventsFactory.from_root(
        {str(path): "Events"}, schemaclass=BaseSchema, entry_start=start, entry_stop=stop
    )
    return hepae.restore(factory.events())


def test_every_reader_checks_what_it_reads_of_a_coded_collection(latents, tmp_path):
    small, _, _ = latents
    with hepae.open(small) as file:
        events = file.num_entries
        names = {"Jet_z0": file._stored, "Jet_btag": file._stored}
        whole = file._tree
        read = type(whole).arrays

        def one_bit(self, wanted, start, stop):
            """What a flipped bit in event 1200 makes of what is read."""
            found = read(self, wanted, start, stop)
            for name in names:
                if name in found and start <= 1200 < stop:
                    flat = ak.to_numpy(ak.flatten(found[name])).copy()
                    at = int(ak.sum(ak.num(found[name][: 1200 - start])))
                    flat.view(f"i{flat.itemsize}")[at] ^= 1
                    found[name] = ak.unflatten(flat, ak.num(found[name]))
            return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(whole), "arrays", one_bit)
        with hepae.open(small) as file:
            for wanted in (None, ["btag"], ["pt"]):
                with pytest.raises(InputError, match=r"checksum mismatch .* of events 1000 to 1500"):
                    file.jets(1200, 1203, columns=wanted)
                assert len(file.jets(0, 1000, columns=wanted)) == 1000
                assert len(file.jets(1500, events, columns=wanted)) == events - 1500
        with pytest.raises(InputError, match="damaged"):
            hepae.decompress_file(small, tmp_path / "back.root")
        for branch in ("Jet_btag", "Jet_pt"):
            with pytest.raises(InputError, match="checksum mismatch"):
                ak.sum(_restored(small, 1100, 1300)[branch])
            assert ak.sum(_restored(small, 0, 1000)[branch]) > 0


def test_a_branch_without_a_checksum_is_refused(latents):
    small, _, _ = latents
    with hepae.open(small) as file:
        for part in file.parts:
            del part.header.checksums["Jet_btag"]
        with pytest.raises(InputError, match="checksum mismatch in branch 'Jet_btag'"):
            file.jets(columns=["btag"])


def test_what_is_read_does_not_depend_on_the_range(latents):
    small, _, _ = latents
    with hepae.open(small) as file, uproot.open(small) as stored:
        whole = stored["Events"]["Jet_btag"].array()
        for start, stop in ((0, 0), (0, 1), (499, 501), (700, 1999), (2000, 2000)):
            assert ak.all(file.jets(start, stop, columns=["btag"]).btag == whole[start:stop])


@pytest.mark.parametrize("length", [0, 500])
def test_arrays_that_are_shorter_than_asked_for_are_refused(latents, monkeypatch, length):
    """One byte of an RNTuple's records can make uproot give fewer entries, whose ranges are all right."""
    small, _, _ = latents
    with hepae.open(small) as file:
        read = type(file._tree).arrays
        monkeypatch.setattr(
            type(file._tree),
            "arrays",
            lambda *asked: {name: array[:length] for name, array in read(*asked).items()},
        )
        for columns in (["btag"], ["pt"]):
            with pytest.raises(InputError, match=r"checksum mismatch in branch .* of events 0 to 2000"):
                file.jets(columns=columns)
