"""Start-up: what everybody pays each time."""

import subprocess
import sys
import time

STARTS = {
    "numpy": ["-c", "import numpy"],
    "isacsim": ["-c", "import isacsim"],
    "isacsim list": ["-m", "isacsim", "list"],
}


class Import:
    """A new interpreter that imports, or lists what is installed, and ends; compare with NumPy alone."""

    param_names = ("what",)
    params = (list(STARTS),)
    number = 1

    def time_import(self, what):
        subprocess.run([sys.executable, *STARTS[what]], check=True, stdout=subprocess.DEVNULL)


class Ratio:
    """The same as ratios, taken in turns: other work on the machine slows all alike."""

    param_names = ("what",)
    params = (["isacsim", "isacsim list"],)

    def track_ratio(self, what):
        times = {name: [] for name in ("numpy", what)}
        for _ in range(5):
            for name, taken in times.items():
                begin = time.perf_counter()
                subprocess.run([sys.executable, *STARTS[name]], check=True, stdout=subprocess.DEVNULL)
                taken.append(time.perf_counter() - begin)
        return min(times[what]) / min(times["numpy"])

    track_ratio.unit = "time over that of importing NumPy"
