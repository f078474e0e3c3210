"""Print the oldest version of each dependency that setup.cfg allows, as constraints for pip.

python .ci/minimum_constraints.py > minimum.txt && pip install --constraint minimum.txt '.[test]'
"""

from __future__ import annotations

import configparser
import re
from pathlib import Path

config = configparser.ConfigParser()
config.read(Path(__file__).parent.parent / "setup.cfg")
requirements = [config["options"]["install_requires"], *config["options.extras_require"].values()]
for line in "\n".join(requirements).split("\n"):
    if match := re.fullmatch(r"([\w-]+)(?:\[.*\])?>=([\d.]+)", line.strip()):
        print("==".join(match.groups()))
