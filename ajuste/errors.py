"""Errors for the user: one line that says what is wrong, where, and what to do."""

import os
import re
import sys
from collections.abc import Callable

SHOWN = 5
LONGEST_EXCERPT = 60
INTERRUPTED, NOBODY_READS = 130, 141  # the exit codes of a shell for SIGINT and SIGPIPE


class PipelineError(Exception):
    """A problem that the user can correct. Its message is one line: what, where, what to do.

    If there are several faults, each has a line. A line can quote any text, so it is made
    `printable`.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n  ".join(map(printable, lines)))


def printable(text: str) -> str:
    """The text with line ends, commands to a terminal and marks of direction escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def excerpt(text: str) -> str:
    """The beginning of a text, to quote it in a message."""
    return text if len(text) <= LONGEST_EXCERPT else text[: LONGEST_EXCERPT - 3] + "..."


class Lines:
    """Line numbers for a message: how many there are, and the first five."""

    def __init__(self, name: str = "lines") -> None:
        self.name = name
        self.count = 0
        self._first: list[int] = []

    def add(self, number: int) -> None:
        """Add a line number."""
        self.count += 1
        if self.count <= SHOWN:
            self._first.append(number)

    def __str__(self) -> str:
        more = ", ..." if self.count > SHOWN else ""
        return f"{self.name} {', '.join(map(str, self._first))}{more}"


def run(name: str, main: Callable[[], None]) -> None:
    """Call `main`; if its input is wrong, end the process with one line and exit code 1.

    Args:
        name: the name of the command, in front of the message (`fetch`, `predict`).
        main: the entry point. A `PipelineError`, an `OSError` such as a full disk, and a lack of
            memory become one line on standard error. If nobody reads the output, the process ends
            silently, like other Unix tools. Any other exception is a defect of this project and
            keeps its traceback.
    """
    open_streams()
    sys.stdout.reconfigure(errors="backslashreplace")  # the terminal may not support a label
    end = _end(name, main)
    try:
        sys.stdout.flush()
    except OSError as error:
        # Otherwise Python tries again when it ends, and prints its own message.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        end = end or (NOBODY_READS if isinstance(error, BrokenPipeError) else _line(name, error))
    if end:
        sys.exit(end)


def open_streams() -> None:
    """Open the null device for each standard stream that the caller closed (`2>&-`).

    Otherwise the next file that is opened gets its number, and the output of the stream.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _line(name: str, error: OSError) -> str:
    where = f": {error.filename}" if error.filename else ""
    return printable(f"{name}: {error.strerror or error}{where}")


def _end(name: str, main: Callable[[], None]) -> str | int | None:
    """Call `main` and return the exit code of the process, or the line that it ends with."""
    try:
        main()
    except SystemExit as end:  # from `--help`
        return end.code
    except PipelineError as error:
        return f"{name}: {error}"
    except BrokenPipeError:
        return NOBODY_READS
    except OSError as error:
        return _line(name, error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        # By name: not every caller has imported TensorFlow.
        if not isinstance(error, MemoryError) and type(error).__name__ != "ResourceExhaustedError":
            raise
        wanted = re.search(r"OOM when allocating tensor with shape\S+|Unable .*", str(error))
        return (
            f"{name}: out of memory{f' ({wanted[0]})' if wanted else ''}; lower `batch_size` or "
            "`units` of the model, `max_length`, or the number of reviews"
        )
    return None
