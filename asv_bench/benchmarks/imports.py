"""Start-up: what everybody pays each time."""

import subprocess
import sys


class Import:
    """A new interpreter that imports and ends; compare with NumPy alone."""

    param_names = ("module",)
    params = (["numpy", "isacsim"],)
    number = 1

    def time_import(self, module):
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
