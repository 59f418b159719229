"""Command lines of hilum in forked, bounded processes: no input can stop the tests.

Run as a program, because a test process has threads, which do not go with forking: reads JSON on stdin, a
list of argument lists, and writes one JSON object a line: exit status, signal, and what was printed.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from pathlib import Path

#: More than what the process begins with, and processor time, for one command line.
MEMORY_BYTES, CPU_S = 3 * 2**30, 20


def main() -> None:

    for arguments in json.load(sys.stdin):
        with tempfile.TemporaryDirectory() as place:
            print(json.dumps(run(arguments, Path(place))), flush=True)


def run(arguments: list[str], place: Path) -> dict[str, object]:
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            for number, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(place / name, os.O_WRONLY | os.O_CREAT), number)
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + MEMORY_BYTES
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            from hilum.cli.app import run as run_command

            code = run_command(arguments)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return {
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "out": (place / "out").read_text("utf-8", "replace"),
        "err": (place / "err").read_text("utf-8", "replace"),
    }


if __name__ == "__main__":
    main()
