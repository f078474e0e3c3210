from __future__ import annotations

from hepae.cli.notes import note, print_replaced


def test_a_note_is_one_line_on_stderr(capsys):
    note("of several\n  lines")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "note: of several lines\n")


def test_replaced_values_are_noted_by_column(capsys):
    print_replaced({"pt": 2, "eta": 0, "qgl": 1}, 10)
    assert capsys.readouterr().err.splitlines() == [
        "note: 2 of 10 jets have pt ≤ 0 or no number; these values are replaced before encoding",
        "note: 1 of 10 jets have qgl no number; these values are replaced before encoding",
    ]
