"""``python -m isacsim``: the command line."""

import sys

from isacsim.cli.main import main

sys.exit(main())
