"""What foreign code does beside the command, and when it is done: told in a line, and nothing waits for it."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time

from isacsim.errors import brief, origin
from isacsim.plugin.isolation import told
from isacsim.plugin.surroundings import LEFT

GRACE = 1.0  # s, which threads that foreign code left running have to end: as long as nobody wonders


def tell_what_nobody_catches() -> None:
    """Lets what is raised beside the command be told in a line: in threads, in `__del__` and when the program ends."""
    threading.excepthook = lambda raised: _tell(raised.exc_value, f"in the thread {getattr(raised.thread, 'name', '')}")
    sys.unraisablehook = lambda raised: _tell(raised.exc_value, f"in {brief(raised.object)}")


def _tell(error: BaseException | None, where: str) -> None:
    if error is None or isinstance(error, SystemExit | KeyboardInterrupt):
        return
    file, line = origin(error)
    with contextlib.suppress(Exception):  # nobody reads it any more
        print(f"warning: ignored {where} ({file}:{line}), {told(error)}", file=sys.stderr)


def leave(code: int) -> int:
    """The exit code; ends the program here where threads that foreign code left running would hold it up."""
    until = time.monotonic() + GRACE
    for thread in list(LEFT):
        thread.join(max(0.0, until - time.monotonic()))
    left = sorted(thread.name for thread in LEFT if thread.is_alive())
    if not left:
        return code
    print(f"warning: ended what a plugin or a component left running: {', '.join(left)}", file=sys.stderr)
    atexit._run_exitfuncs()  # which os._exit passes over
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # its reader has left
            stream.flush()
    os._exit(code)
