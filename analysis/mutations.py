"""Damage compressed files byte by byte or bit by bit, and count who notices.

    python analysis/mutations.py FILE... --count 3000
    python analysis/mutations.py tests/golden/v1/flat_*.root --every-bit

A FILE with jets is first compressed with each codec into each storage (of large files only the first ``--events`` events); a
compressed FILE is taken as it is. Then copies of each are damaged: one byte anywhere in the file (``uniform``), or one byte of the rows
of ``hepae_payload``, of the header or of the latents (``targeted``). With ``--every-bit`` every bit of every byte that a reader asks for is
flipped once instead (the other bytes cannot matter: a copy in which all of them are inverted has to be read right). Each copy is read in three ways: ``hepae decompress`` (all
branches are compared), ``hepae.open(...).jets()`` and ``hepae.restore`` in coffea (the coded collections are compared). The table has,
for each way, how many copies were refused with an error, read with the right values, and read with *wrong* values without a
word. The last number has to be 0. With HEPAE_ROOT=off nothing is cloned, and ``decompress`` is fifty times as fast.
"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import awkward as ak
import click
import numpy as np
import uproot
from coffea.nanoevents import BaseSchema, NanoEventsFactory
from rich.console import Console
from rich.table import Table
from uproot.source.file import MultithreadedFileSource
from uproot.source.fsspec import FSSpecSource

import hepae
from hepae.errors import HepaeError
from hepae.files.decoded import DECODED
from hepae.files.parts import is_compressed
from hepae.files.payload import PAYLOAD_TREE
from hepae.io.checksums import Checksums
from hepae.io.ntuples import HEADER_TREE, open_root
from hepae.io.objects import is_tree
from hepae.io.readers import choose_collections, open_source
from hepae.io.written import WrittenTree
from hepae.threads import PROCESSORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

WAYS = ("decompress", "jets", "restore")
OUTCOMES = ("refused", "right", "wrong", "traceback", "no end")
SECONDS = 60
"""A copy that is read for longer counts as without end."""
NETWORK = hepae.AutoencoderConfig(hidden=(16, 8))


@click.command(help=__doc__)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--count", default=300, show_default=True, help="Copies of each file and kind of damage.")
@click.option("--events", default=300, show_default=True, help="Events of a file that is compressed first.")
@click.option("--seed", default=0, show_default=True, help="Random seed of the damage.")
@click.option("--every-bit", is_flag=True, help="Flip each bit once.")
@click.option(
    "--way", "ways", multiple=True, type=click.Choice(WAYS), default=WAYS, help="Only this way of reading."
)
def main(
    files: tuple[Path, ...], count: int, events: int, seed: int, every_bit: bool, ways: tuple[str, ...]
) -> None:
    """Print the table; the exit status is 1 if a wrong value went unnoticed, or a reader ended in a traceback or did not end."""
    table = Table(
        "file", "damage", "copies", *(f"{way}: refused, right, wrong" for way in ways), "traceback", "no end"
    )
    bad = 0
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(PROCESSORS) as pool:
        for path in compressed_files(files, Path(folder), events):
            for kind in ("every bit",) if every_bit else ("uniform", "targeted"):
                places = every_place(path, ways) if every_bit else damaged_places(path, kind, count, seed)
                chunks = [places[i :: 4 * PROCESSORS] for i in range(4 * PROCESSORS)]
                found: Counter[tuple[str, str]] = Counter()
                for counts in pool.map(partial(read_damaged, path, ways=ways), filter(None, chunks)):
                    found.update(counts)
                seen = (", ".join(str(found[way, outcome]) for outcome in OUTCOMES[:3]) for way in ways)
                rest = [sum(found[way, outcome] for way in ways) for outcome in OUTCOMES[3:]]
                bad += sum(found[way, "wrong"] for way in ways) + sum(rest)
                row = path.name, kind, str(len(places)), *seen, *map(str, rest)
                table.add_row(*row)
                click.echo("; ".join(row), err=True)  # a run of hours can be followed
    Console(width=200 if not sys.stdout.isatty() else None).print(table)
    sys.exit(int(bad > 0))


def compressed_files(paths: Iterable[Path], folder: Path, events: int) -> Iterable[Path]:
    """Give compressed files as they are, and each codec and storage of files with jets."""
    for path in paths:
        if is_compressed(path):
            yield path
            continue
        with open_source(path) as source:
            collection = choose_collections(source)[0].name
            stop = min(events, source.num_entries)
        jets = hepae.read_jets(path, collection=collection)[:stop]
        model = hepae.train(jets, hepae.TrainingConfig(epochs=1, network=NETWORK)).codec
        codecs = {
            "bounds": hepae.BoundedCodec(),
            "float32": model,
            "8-bit": model.with_latent_bits(8),
            "corrected": model.with_bounds(),
        }
        for name, codec in codecs.items():
            for storage in ("ttree", "rntuple"):
                output = folder / f"{path.stem}_{name}_{storage}.root"
                hepae.compress_file(
                    path, output, codec, collection=collection, storage=storage, entry_stop=stop
                )
                yield output


def every_place(path: Path, ways: Sequence[str]) -> list[tuple[int, int]]:
    """Each bit of the bytes that a reader asks for, as the place of its byte and that byte with the bit flipped."""
    whole = path.read_bytes()
    asked = np.zeros(len(whole), bool)
    asked[:100] = True  # what tells a ROOT file, and where its parts are
    with tempfile.TemporaryDirectory() as folder, asked_for(asked):
        expected = {}
        for way in ways:
            DECODED.clear()  # what was decoded before would not be read
            expected[way] = READERS[way](path)
        copy = Path(folder) / path.name
        others = np.frombuffer(whole, np.uint8) ^ np.where(asked, 0, 255).astype(np.uint8)
        copy.write_bytes(others.tobytes())
        if any(outcome(READERS[way], copy, expected[way]) != "right" for way in ways):
            raise click.ClickException(f"{path}: a reader reads bytes that were not noted")
    return [(int(place), whole[place] ^ 1 << bit) for place in np.flatnonzero(asked) for bit in range(8)]


@contextmanager
def asked_for(asked: NDArray[np.bool_]) -> Iterator[None]:
    """Note which bytes uproot reads of a file."""
    with ExitStack() as stack:
        for kind in (FSSpecSource, MultithreadedFileSource):  # coffea's files, and hepae's
            chunk, chunks = kind.chunk, kind.chunks

            def one(source: Any, start: int, stop: int, *, read: Any = chunk) -> Any:
                asked[start:stop] = True
                return read(source, start, stop)

            def several(source: Any, ranges: Any, notifications: Any, *, read: Any = chunks) -> Any:
                for start, stop in ranges:
                    asked[start:stop] = True
                return read(source, ranges, notifications)

            stack.enter_context(patch.object(kind, "chunk", one))
            stack.enter_context(patch.object(kind, "chunks", several))
        yield


def damaged_places(path: Path, kind: str, count: int, seed: int) -> list[tuple[int, int]]:
    """Bytes to change, as their place and what they become."""
    whole = path.read_bytes()
    rng = random.Random(f"{path.name} {kind} {seed}")
    places = range(path.stat().st_size) if kind == "uniform" else targets(path)
    chosen = [rng.choice(places) for _ in range(count)] if len(places) > count else list(places)
    return [(place, (whole[place] + rng.choice((1, 128, rng.randrange(1, 256)))) % 256) for place in chosen]


def targets(path: Path) -> list[int]:
    """Bytes of the payload's rows, the header, and the latents and counters in a TTree."""
    found: set[int] = set()
    with hepae.open(path) as compressed, uproot.open(path) as file:
        latents = [name for coded in compressed.header.collections.values() for name in coded.latents]
        counters = [c.counter for c in compressed.collections.values() if c.counter]
        trees = {HEADER_TREE: None, PAYLOAD_TREE: None, compressed.tree: {*latents, *counters}}
        for name, wanted in trees.items():
            if name not in file or file.classname_of(name) != "TTree":
                continue
            for branch in file[name].branches:
                if wanted is None or branch.name in wanted:
                    seeks, sizes = branch.member("fBasketSeek"), branch.member("fBasketBytes")
                    for seek, size in zip(seeks[: branch.num_baskets], sizes, strict=False):
                        found.update(range(int(seek), int(seek) + int(size)))
    return sorted(found)


def read_damaged(
    path: Path, places: Sequence[tuple[int, int]], ways: Sequence[str] = WAYS
) -> Counter[tuple[str, str]]:
    """Read damaged copies of a file in these ways, and count what becomes of them."""
    whole = path.read_bytes()
    found: Counter[tuple[str, str]] = Counter()
    signal.signal(signal.SIGALRM, _no_end)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        copy = Path(folder) / path.name
        copy.write_bytes(whole)
        expected = {way: READERS[way](copy) for way in ways}
        for place, value in places:
            copy.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            for way in ways:
                found[way, outcome(READERS[way], copy, expected[way])] += 1
    return found


def outcome(read: Callable[[Path], Any], path: Path, expected: Any) -> str:
    """What becomes of reading a damaged file."""
    DECODED.clear()
    signal.alarm(SECONDS)
    try:
        return "right" if read(path) == expected else "wrong"
    except HepaeError:
        return "refused"
    except TimeoutError:
        return "no end"
    except Exception:  # noqa: BLE001  # coffea reads other branches, and the file's own records, by itself
        return "refused" if read is restored else "traceback"
    finally:
        signal.alarm(0)


def _no_end(*_: object) -> None:
    raise TimeoutError


def decompressed(path: Path) -> dict[str, Any]:
    """Checksums of all branches of all trees that `decompress_file` gives."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "restored.root"
        hepae.decompress_file(path, output)
        found = {}
        with open_root(output) as file:
            for name, classname in file.classnames(cycle=False).items():
                if not is_tree(classname):  # the history has the date in it
                    continue
                tree = WrittenTree(file, name)
                checksums = Checksums()
                checksums.update(tree.arrays(tree.branches, 0, tree.num_entries))
                found[name] = checksums.by_branch
    return found


def jets(path: Path) -> dict[str, Any]:
    """Checksums of the jets of all coded collections."""
    found = {}
    with hepae.open(path) as file:
        for name in file.collections:
            read = file.jets(collection=name)
            checksums = Checksums()
            checksums.update({column: read[column] for column in read.fields})
            found[name] = checksums.by_branch
    return found


def restored(path: Path) -> dict[str, Any]:
    """Checksums of the coded collections' branches in coffea."""
    with hepae.open(path) as file:
        tree = file.tree
        branches = [branch for name in file.collections for branch in file.branches_of(name)]
    events = hepae.restore(NanoEventsFactory.from_root({str(path): tree}, schemaclass=BaseSchema).events())
    checksums = Checksums()
    for branch in branches:
        array = events[branch]
        checksums.update({branch: ak.Array(np.asarray(array)) if array.ndim == 1 else ak.materialize(array)})
    return checksums.by_branch


READERS: dict[str, Callable[[Path], Any]] = {"decompress": decompressed, "jets": jets, "restore": restored}


if __name__ == "__main__":
    main()
