"""A call that takes as long as a test wants, however fast the machine is."""

import os
import time


def until_open(path: str) -> None:
    """Wait until there is a file."""
    while not os.path.exists(path):
        time.sleep(0.02)
