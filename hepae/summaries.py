"""What the commands print about a file, a compression and a comparison, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hepae import terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hepae.files.compress import CompressionSummary
    from hepae.files.sizes import FileSizes, Size

MOST_BOUNDS = 12
"""Bounds of one collection that are listed after a compression; ``hepae info`` lists all of them."""


def print_compression(output: str, coding: str, summary: CompressionSummary) -> None:
    """Print bytes before and after, and bounds: of each column or, of several collections, their numbers."""
    several = len(summary.collections) > 1
    what = f"{len(summary.collections)} collections" if several else summary.collections[0]
    table = terminal.table(f"{output}: {what} as {coding}", "", "before", "after", "ratio")
    table.add_row("whole file", *_before_after(summary.file_before, summary.file_after))
    table.add_row("coded columns", *_before_after(summary.coded_before, summary.coded_after))
    if summary.jets:
        sizes = (f"{size / summary.jets:.2f} B" for size in (summary.coded_before, summary.coded_after))
        table.add_row("a jet", *sizes, "")
    terminal.console().print(table)
    if several:
        headers = ("collection", "jets", "columns bounded", "columns exact", "before", "after", "ratio")
        table = terminal.table(f"Collections; hepae info {output} lists all bounds", *headers)
        for name, of in summary.by_collection.items():
            numbers = (of.jets, of.bounded, of.exact)
            table.add_row(name, *map(str, numbers), *_before_after(of.before, of.after))
        terminal.console().print(table)
    elif summary.bounds:
        shown = summary.bounds
        if len(shown) > MOST_BOUNDS:
            shown = {name: bound for name, bound in shown.items() if bound != "exact"}
        told = [f"{name} {bound}" for name, bound in shown.items()][:MOST_BOUNDS]
        more = len(summary.bounds) - len(told)
        click.echo(
            f"bounds: {', '.join(told)}"
            + (f"; hepae info lists those of {more} more columns" if more else "")
        )


def print_description(path: str, content: Mapping[str, Any]) -> None:
    """Print what `hepae.files.description.describe` says of a file: facts, then a table for each collection."""
    own = ("collections", "columns", "bounds", "edges", "bounds_by_events", "history")
    compressed, jets = (content["kind"] == kind for kind in ("compressed", "jets"))
    table = terminal.table(path, "", "")
    for key, value in content.items():
        if not (compressed or jets) or key not in own:
            table.add_row(key.replace("_", " "), _plain(value))
    console = terminal.console()
    console.print(table)
    if compressed:
        _print_coded(content)
    elif jets:
        for name, entry in content["collections"].items():
            table = terminal.table(f"{name}: {entry['jets']} jets", "type", "columns", numbers=False)
            kinds: dict[str, list[str]] = {}
            for column, of in entry["columns"].items():
                kind = f"{of['type']} {of['unit']}".strip()
                kinds.setdefault(kind, []).append(f"{column} ({of['bytes'] / 1e3:.1f} kB)")
            for kind, columns in kinds.items():
                table.add_row(kind, ", ".join(columns))
            console.print(table)
    if content.get("history"):
        _print_history(content["history"], restored=jets)


MOST_SIZES = 30
"""Collections, and half as many branches, whose bytes are listed; ``--json`` and ``--report`` have all of them."""


def print_sizes(sizes: FileSizes) -> None:
    """Print what collections and branches take, and the estimate of what they would take compressed."""
    console = terminal.console()
    estimated = sizes.whole.estimate is not None
    ends = ("bytes", "B an event", "share", *(("estimate", "ratio") if estimated else ()))

    def numbers(one: Size) -> tuple[str, ...]:
        now = (
            f"{one.bytes / 1e3:.1f} kB",
            f"{one.bytes / max(sizes.events, 1):.1f}",
            f"{one.bytes / sizes.whole.bytes:.1%}",
        )
        if one.estimate is None:
            return now
        return (*now, f"{one.estimate / 1e3:.1f} kB", "–" if one.ratio is None else f"{one.ratio:.3f}")

    collections = sizes.collections
    trees = len({one.tree for one in collections}) > 1
    table = terminal.table(f"{sizes.path}: {sizes.events} events", "collection", "branches", *ends)
    for one in collections[:MOST_SIZES]:
        name = f"{one.tree}: {one.collection}" if trees and one.tree != one.collection else one.collection
        table.add_row(name, str(one.branches), *numbers(one))
    if others := collections[MOST_SIZES:]:
        table.add_row(
            f"{len(others)} more", str(sum(one.branches for one in others)), *numbers(others[0].added(others))
        )
    table.add_row(sizes.rest.branch, "", *numbers(sizes.rest))
    table.add_row(sizes.whole.branch, str(len(sizes.branches)), *numbers(sizes.whole))
    console.print(table)
    shown = sizes.branches[: MOST_SIZES // 2]
    table = terminal.table(f"the largest of {len(sizes.branches)} branches", "branch", *ends)
    for one in shown:
        table.add_row(one.branch, *numbers(one))
    console.print(table)
    if 0 < sizes.sampled < sizes.events:
        click.echo(f"estimated from {sizes.sampled} of {sizes.events} events")


def _print_history(history: Mapping[str, Any], *, restored: bool) -> None:
    """Print each compression of a file, and by how much its columns may differ from the original."""
    what = "restored from a compressed file" if restored else "compressed"
    table = terminal.table(f"history: {what}, generation {history['generation']}", "", "")
    for number, step in enumerate(history["steps"], 1):
        inputs = ", ".join(f"{one['name']} ({one['uuid'] or 'no UUID'})" for one in step["inputs"][:3])
        rest = f" and {len(step['inputs']) - 3} more" if len(step["inputs"]) > 3 else ""
        source = f"from {inputs}{rest}" if inputs else None
        told = [step["date"], step["implementation"], step["command"], source]
        table.add_row(f"generation {number}", "\n".join(text for text in told if text))
    if restored and history["restored"]:
        table.add_row("restored", "\n".join(text for text in history["restored"].values() if text))
    columns = history["columns"]
    shown = [f"{name}: {text}" for name, text in columns.items()][:MOST_BOUNDS]
    if len(columns) > len(shown):
        shown.append(f"and {len(columns) - len(shown)} more, which --json lists")
    table.add_row("columns", "\n".join(shown) or "unchanged")
    terminal.console().print(table)


def _print_coded(content: Mapping[str, Any]) -> None:
    """Print the collections of a compressed file: columns by their bound, edges, and latents."""
    from hepae.files.description import bound_texts

    ranges = [(each["first"], each["end"], each["bounds"]) for each in content.get("bounds_by_events", ())]
    texts = bound_texts(content["bounds"], ranges)
    for name, config in content["collections"].items():
        prefix = f"{name}." if len(content["collections"]) > 1 else ""
        table = terminal.table(f"{name}: {config['jets']} jets", "bound", "columns", numbers=False)
        groups: dict[str, list[str]] = {}
        for column in config["coded"]:
            groups.setdefault(texts.get(prefix + column, "none"), []).append(column)
        for bound, columns in groups.items():
            table.add_row(bound, ", ".join(columns))
        edges = {column: content["edges"].get(prefix + column) for column in config["coded"]}
        told = [
            f"{column} at {cuts if isinstance(cuts, str) else _plain(cuts)}"
            for column, cuts in edges.items()
            if cuts
        ]
        if told:
            table.add_row("edges", "; ".join(told))
        if config["latents"]:
            table.add_row("latents", ", ".join(config["latents"]))
        terminal.console().print(table)


def print_comparison(title: str, metrics: Mapping[str, Any]) -> None:
    """Print the content of metrics.json for one version: a row for each column that changed, and how many did not."""
    kept = [name for name, column in metrics["columns"].items() if _unchanged(column)]
    names = ("mean", "median", "std", "p68", "p99")
    table = terminal.table(
        title, "column", "unit", *names, "largest", "largest rel.", "not finite", "violations"
    )
    for name, column in metrics["columns"].items():
        if name in kept:
            continue
        relative = column["max_rel"] is not None and name.rpartition(".")[2] in ("pt", "mass", "E")
        table.add_row(
            name,
            "relative" if relative else column["unit"] or "1",
            *(_number(column[key]) for key in names),
            f"{_number(column['max_abs'])} {column['unit']}".strip(),
            _number(column["max_rel"]),
            str(column["non_finite"]),
            "–" if column["violations"] is None else str(column["violations"]),
        )
    if table.rows:
        terminal.console().print(table)
    if kept:
        click.echo(f"{title}: {len(kept)} columns came back as they were")
    sizes = metrics["bytes"]
    click.echo(
        f"{metrics['jets']} jets, {sizes['per_jet'] or 0:.2f} bytes a jet in the coded columns, "
        f"{sizes['original'] / 1e6:.2f} MB before, {sizes['compressed'] / 1e6:.2f} MB after"
    )


def _unchanged(column: Mapping[str, Any]) -> bool:
    return (
        not (column["max_abs"] or column["non_finite"] or column["violations"])
        and column["max_abs"] is not None
    )


def _plain(value: Any) -> str:
    """JSON as a person reads it."""
    if isinstance(value, dict):
        return "\n".join(f"{key.replace('_', ' ')}: {_plain(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _before_after(before: int, after: int) -> tuple[str, str, str]:
    return f"{before / 1e6:.3f} MB", f"{after / 1e6:.3f} MB", f"{after / before:.3f}" if before else ""
