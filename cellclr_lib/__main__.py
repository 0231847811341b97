"""``python -m cellclr_lib``: the command line."""

import sys

from cellclr_lib.cli import main

sys.exit(main())
