"""``python -m hepae`` is the command line."""

from hepae.cli import main

if __name__ == "__main__":
    main(prog_name="hepae")
