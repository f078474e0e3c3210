from __future__ import annotations

from collections import Counter

from hepae.cli import main
from hepae.cli.sections import SECTIONS


def test_every_option_has_its_place_and_there_is_no_other():
    listed = Counter(" ".join(SECTIONS.values()).split())
    options = {
        max(parameter.opts, key=len)
        for command in main.commands.values()
        for parameter in command.params
        if parameter.param_type_name == "option"
    }
    assert listed == Counter({*options, "--help"})


def test_options_stand_under_their_titles(run):
    text = run("compress", "--help").stdout
    text = text[text.index("\nOutput:\n") :]  # behind the examples
    places = [
        text.index(word) for word in ("\nOutput:\n", "--output", "\nBounds:\n", "--bound ", "\nOther:\n")
    ]
    assert places == sorted(places)
    assert "\nTraining:\n" not in text  # titles without options are not shown


def test_the_main_help_has_each_command_once(run):
    rows = [line.split()[0] for line in run("--help").stdout.splitlines() if line.startswith("  ")]
    assert {name: rows.count(name) for name in main.commands} == dict.fromkeys(main.commands, 1)
