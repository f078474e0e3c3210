from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from hepae import terminal
from hepae.cli import main


def run(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.usefixtures("figures")
def test_names_from_files_are_no_markup(make_tree, tmp_path):
    """A column and a path that rich would read as styles are printed as they are."""
    names = ("pt", "eta", "phi", "m", "[/]x")
    original = make_tree(dict(zip(names, np.random.default_rng(1).normal(30, 1, (5, 50)), strict=True)))
    path = original.rename(tmp_path / "[red]jets.root")
    small = tmp_path / "[bold]small.root"
    for told in (
        run("info", path),
        run("compress", path, "-o", small, "--bound", "[[]/]x=0.1%"),
        run("info", small),
        run("compare", path, small, "-o", tmp_path / "out"),
    ):
        joined = "".join(told.split())  # long names are folded
        assert "[/]x" in joined
        assert "[red]jets.root" in joined or "[bold]small.root" in joined


def test_all_of_a_table_is_printed_as_it_is(capsys):
    table = terminal.table("[/]title", "[/]header", "[red]")
    table.add_row("[/]cell", "[red]:smile:")
    terminal.console().print(table)
    printed = capsys.readouterr().out
    for text in ("[/]title", "[/]header", "[red]", "[/]cell", "[red]:smile:"):
        assert text in printed


def test_control_characters_of_names_are_not_printed(capsys):
    rows = terminal.table("a\x1b[2J", "name")
    rows.add_row("b\x1b]0;x\x07\u202e", "1")
    terminal.console().print(rows)
    printed = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\u202e"} & {*printed}
    assert "a�[2J" in printed
