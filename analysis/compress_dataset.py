"""Compress the files of a fileset as a coffea job, into one file a dataset.

    python analysis/compress_dataset.py fileset.json -o compressed --executor futures --workers 8
    python analysis/compress_dataset.py fileset.json -o compressed -m model.safetensors --executor dask --scheduler tcp://HOST:8786

The fileset is coffea's: {"DATASET": {"files": {"FILE": "TREE"}}}. One of the compressed files is written beside them, for the
job that comes next. Chunks are written into a folder of the output, which all workers see, and goes when they are merged.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import click
import jobs
from coffea.nanoevents import BaseSchema

import hepae
from hepae.bounds import Bounds
from hepae.errors import OutputError
from hepae.processors import CompressionProcessor, files_of, merge


@click.command()
@click.argument("fileset", type=jobs.Fileset())
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the compressed files."
)
@click.option("-m", "--model", type=click.Path(path_type=Path), help="A model, whose latents are stored.")
@click.option(
    "--bound", "bounds", metavar="COLUMN=BOUND", multiple=True, help="Such as pt=0.1% or mass=1%+1MeV."
)
@click.option("--edges", metavar="COLUMN=X,Y,…", multiple=True, help="Values that no jet may cross.")
@click.option(
    "--collection", "collections", metavar="NAME", multiple=True, help="Which jets, or other objects too."
)
@click.option(
    "--unit", type=click.Choice(["MeV", "GeV"]), help="Of pt, mass and E, where names and values do not tell."
)
@click.option(
    "--drop",
    metavar="GLOB",
    multiple=True,
    help="Leave out these other branches and objects (histograms, …).",
)
@click.option(
    "--drop-unreadable", is_flag=True, help="Leave out branches and objects that cannot be read or copied."
)
@click.option("--force", is_flag=True, help="Replace outputs that exist.")
@jobs.options
def main(
    fileset: dict[str, Any],
    output: Path,
    model: Path | None,
    bounds: tuple[str, ...],
    edges: tuple[str, ...],
    collections: tuple[str, ...],
    unit: str | None,
    drop: tuple[str, ...],
    drop_unreadable: bool,
    force: bool,
    tree: str | None,
    **execution: Any,
) -> None:
    """Compress the files of FILESET into OUTPUT/DATASET.root."""
    with jobs.running(**execution, tree=tree) as run:
        asked = Bounds.parse(bounds, edges)
        codec: Any = hepae.BoundedCodec(asked) if model is None else hepae.load_codec(model)
        if model is not None and (bounds or edges):
            codec = codec.with_bounds(asked)
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {output}: {error.strerror}") from None
        with tempfile.TemporaryDirectory(prefix=".parts-", dir=output) as parts:
            chosen = {"collection": collections or None, "drop": drop, "drop_unreadable": drop_unreadable}
            job = CompressionProcessor(codec, parts, unit=unit, **chosen)
            manifest = run(fileset, job, BaseSchema)
            written = merge(manifest, fileset, parts, output, treename=tree, force=force)
        compressed = {}
        for dataset, path in written.items():
            with hepae.open(path) as file:
                sizes = file.header.bytes
                compressed[dataset] = {"files": {path.name: file.tree}}
            click.echo(
                f"{path}: {file.num_entries} events, {file.header.jets} jets; "
                f"files {sizes.file_original / 1e6:.2f} → {path.stat().st_size / 1e6:.2f} MB, "
                f"coded columns {sizes.original / 1e6:.2f} → {sizes.compressed / 1e6:.2f} MB"
            )
        (output / "fileset.json").write_text(json.dumps(compressed, indent=2) + "\n")
        events = sum(part.stop - part.start for parts_of in manifest.values() for part in parts_of)
        files = sum(len(names) for names in files_of(fileset, tree).values())
        click.echo(f"{events} events of {files} files in {len(written)} datasets")


if __name__ == "__main__":
    main()
