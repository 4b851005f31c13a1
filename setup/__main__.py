"""Sets up .venv for this machine, and says in one line what it chose or what is wrong: `make setup`.

Run by the Python that the environment is for, of whatever version: those it cannot be are told so.
"""

import sys

if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    found = ".".join(map(str, sys.version_info[:2]))
    sys.exit(f"setup: this is Python {found}, and 3.11, 3.12 or 3.13 is needed: name one, as in make PYTHON=python3.12")

from command import main

sys.exit(main(sys.argv[1:]))
