"""Compression of a fileset as a coffea job: one file a chunk, then one a dataset."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coffea.processor import ProcessorABC

from hepae.errors import InputError, OutputError
from hepae.files.compress import compress_file
from hepae.files.compressed import CompressedFile
from hepae.files.joining import join_files
from hepae.io.outputs import atomic_output
from hepae.io.readers import open_source
from hepae.processors.executors import one_thread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hepae.codec import Codec

    Manifest = Mapping[str, set["Part"]]
    """Parts by dataset."""
    Fileset = Mapping[str, Any]
    """What a coffea Runner takes: files by dataset, as a list or by name with their tree."""


@dataclass(frozen=True, order=True)
class Part:
    """A chunk of a file that was compressed: entries start to stop of a tree, and the jets among them.

    ``name`` is that of the compressed file in the job's folder.
    """

    filename: str
    tree: str
    start: int
    stop: int
    name: str
    jets: int


class CompressionProcessor(ProcessorABC):  # type: ignore[misc]  # coffea has no types
    """Compress each chunk of a fileset into its own file; `merge` then makes one file for each dataset.

    The name of a chunk's file depends only on the chunk, and the file appears only when it is complete. So a chunk that is processed
    twice, because its worker was killed, writes the same file. `merge` takes the files in the manifest, not all files in the folder.

    Parameters
    ----------
    codec
        A `BoundedCodec` or a `LatentCodec`, as for `hepae.compress_file`.
    folder
        Folder for the chunks' files; all workers and the client must see it under this name.
    options
        ``collection``, ``unit``, ``keep``, ``drop`` and ``drop_unreadable``, as for `hepae.compress_file`.

    Examples
    --------
    Run it with any schema; BaseSchema takes every file::

        job = CompressionProcessor(hepae.BoundedCodec(), "parts")
        manifest = Runner(IterativeExecutor(), schema=BaseSchema)(fileset, job, treename="Events")
        merge(manifest, fileset, "parts", "compressed", treename="Events")
    """

    def __init__(self, codec: Codec, folder: str | Path, **options: Any):
        self.folder = Path(folder).absolute()
        self.options = options
        # The processor travels with every chunk: bytes, of which each process makes the codec once.
        self._codec = type(codec), codec.to_bytes()
        job = json.dumps(options, sort_keys=True).encode()
        self._job = hashlib.sha256(self._codec[1] + job).hexdigest()
        self.folder.mkdir(parents=True, exist_ok=True)

    def process(self, events: Any) -> dict[str, set[Part]]:
        """Compress one chunk.

        Returns
        -------
        dict
            By dataset, the set of this part.
        """
        chunk = events.metadata
        start, stop = int(chunk["entrystart"]), int(chunk["entrystop"])
        what = [chunk[key] for key in ("dataset", "filename", "treename", "fileuuid")]
        digest = hashlib.sha256(json.dumps([*what, start, stop, self._job]).encode()).hexdigest()
        name = f"{file_name(chunk['dataset'])}_{digest[:24]}.root"
        codec = _codec(*self._codec)
        with one_thread():
            summary = compress_file(
                chunk["filename"],
                self.folder / name,
                codec,
                tree=chunk["treename"],
                entry_start=start,
                entry_stop=stop,
                force=True,
                **self.options,
            )
        part = Part(chunk["filename"], chunk["treename"], start, stop, name, summary.jets)
        return {chunk["dataset"]: {part}}

    def postprocess(self, accumulator: Any) -> Any:
        """Nothing is left to do: the manifest is complete."""
        return accumulator


def merge(
    manifest: Manifest,
    fileset: Fileset,
    folder: str | Path,
    output: str | Path,
    *,
    treename: str | None = None,
    drop: Sequence[str] = (),
    compression: str | None = None,
    force: bool = False,
) -> dict[str, Path]:
    """Join the files that a `CompressionProcessor` wrote into one compressed file for each dataset, ``output/DATASET.root``.

    Events are in the order of the fileset. Each part is compared with its checksums and with the fileset: no entry may be missing
    or appear twice.

    Parameters
    ----------
    manifest
        What the coffea job returned.
    fileset, treename
        The fileset and tree name of the job.
    folder
        Where its files are.
    output
        Folder of the merged files; it is created if it does not exist.
    drop
        Patterns of objects (histograms, …) to leave out: those that differ between the files of a dataset.
    compression
        Compression of the branches, as ``NAME:LEVEL``.
    force
        Replace existing outputs.

    Returns
    -------
    dict
        The file of each dataset.

    Raises
    ------
    InputError
        If parts of the fileset are missing, or parts cannot be joined.
    OutputError
        If an output exists or cannot be written.
    """
    folder, output = Path(folder), Path(output)
    files = files_of(fileset, treename)
    names = file_names(files)
    chosen = {
        dataset: _in_order(dataset, manifest.get(dataset, set()), found) for dataset, found in files.items()
    }
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {output}: {error.strerror}; choose another place"
        ) from None
    written = {}
    for dataset, parts in chosen.items():
        path = output / f"{names[dataset]}.root"
        with atomic_output(path, force=force) as temporary:
            names_of_parts = [folder / part.name for part in parts]
            join_files(names_of_parts, temporary, drop=drop, compression=compression)
            with CompressedFile(temporary) as file:
                found = file.num_entries, file.header.jets
            expected = sum(part.stop - part.start for part in parts), sum(part.jets for part in parts)
            if found != expected:
                raise OutputError(
                    f"{path} would have {found[0]} events and {found[1]} jets instead of {expected[0]} and {expected[1]}; "
                    "nothing was written"
                )
        written[dataset] = path
    return written


def files_of(fileset: Fileset, treename: str | None = None) -> dict[str, dict[str, str]]:
    """Files of each dataset in order, with their tree: the dataset's own, else the one named here, else the file's, as in coffea.

    Raises
    ------
    InputError
        If a file's tree is not said.

    Examples
    --------
    >>> files_of({"dijets": {"files": {"a.root": "Events"}}, "ttbar": {"files": ["b.root"], "treename": "nominal"}})
    {'dijets': {'a.root': 'Events'}, 'ttbar': {'b.root': 'nominal'}}
    """
    found = {}
    for dataset, entry in fileset.items():
        described = isinstance(entry, dict)
        files = entry["files"] if described else entry
        tree = entry.get("treename", treename) if described else treename
        if tree is None and not isinstance(files, dict):
            raise InputError(
                f"which tree of the files of {dataset}? Give the fileset a 'treename', or --tree"
            )
        found[dataset] = {file: tree or files[file] for file in files}
    return found


def file_name(dataset: str) -> str:
    """A dataset's name as that of a file.

    >>> file_name("/JetHT/Run2018A")
    'JetHT_Run2018A'
    """
    return re.sub(r"[^\w.+-]+", "_", dataset).strip("_.") or "dataset"


def file_names(datasets: Iterable[str]) -> dict[str, str]:
    """Names of several datasets as those of files.

    Raises
    ------
    InputError
        If two of them would be written as the same file.
    """
    found: dict[str, str] = {}
    for dataset in datasets:
        for other, name in found.items():
            if name == file_name(dataset):
                raise InputError(
                    f"the datasets {other} and {dataset} would both be written as {name}: rename one"
                )
        found[dataset] = file_name(dataset)
    return found


@functools.lru_cache(maxsize=4)
def _codec(kind: type[Codec], content: bytes) -> Codec:
    """Rebuild a codec from its bytes."""
    return kind.from_bytes(content)


def _in_order(dataset: str, parts: Iterable[Part], files: Mapping[str, str]) -> list[Part]:
    """Parts of a dataset in the order of its files, none missing and none twice."""
    of_file: dict[str, list[Part]] = {name: [] for name in files}
    for part in sorted(parts):
        if part.filename not in of_file:
            raise InputError(
                f"the job's parts of {dataset} come from {part.filename}, which is not in the fileset; give the fileset that the job ran over"
            )
        of_file[part.filename].append(part)
    for name, tree in files.items():
        with open_source(name, tree=tree) as source:
            entries = source.num_entries
        done = 0
        for start, stop in [(part.start, part.stop) for part in of_file[name]] + [(entries, entries)]:
            if start != done:
                what = (
                    f"{done} to {start} of {name} are missing"
                    if start > done
                    else f"{start} to {done} of {name} are there twice"
                )
                raise InputError(
                    f"entries {what} among the parts of {dataset}: run the job again, without skipping files"
                )
            done = stop
    return [part for name in files for part in of_file[name]]
