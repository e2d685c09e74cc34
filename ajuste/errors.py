"""Errors as part of the interface: one line that says what, where and what to do."""

import os
import re
import sys
from collections.abc import Callable

SHOWN = 5
LONGEST_EXCERPT = 60
INTERRUPTED, NOBODY_READS = 130, 141  # what a shell says of SIGINT and of SIGPIPE


class PipelineError(Exception):
    """A problem that the user can mend. Its message is one line: what, where, what to do.

    Where several faults are told at once, each has a line. What a line quotes may hold anything, so
    it is made `printable`.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n  ".join(map(printable, lines)))


def printable(text: str) -> str:
    """With all that has no shape escaped: line ends, commands to a terminal, marks of direction."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def excerpt(text: str) -> str:
    """The beginning of a text that may be long, to quote it in a message."""
    return text if len(text) <= LONGEST_EXCERPT else text[: LONGEST_EXCERPT - 3] + "..."


class Lines:
    """Numbers of lines, for a message: how many there are, and the first five of them."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[int] = []

    def add(self, number: int) -> None:
        """Note one more."""
        self.count += 1
        if self.count <= SHOWN:
            self._first.append(number)

    def __str__(self) -> str:
        more = ", ..." if self.count > SHOWN else ""
        return f"lines {', '.join(map(str, self._first))}{more}"


def run(name: str, main: Callable[[], None]) -> None:
    """Call `main`; end the process with one line and exit code 1 where its input is at fault.

    Args:
        name: what the user called, put in front of the message (`fetch`, `predict`).
        main: the entry point. A `PipelineError`, and an `OSError` such as a full disk or a file
            that may not be read, become one line on standard error, and so does a lack of memory;
            where nobody reads what is printed, it ends without a word, as Unix tools do. Any other
            exception is a defect of this project and keeps its traceback.
    """
    open_streams()
    sys.stdout.reconfigure(errors="backslashreplace")  # a label may hold what a terminal lacks
    end = _end(name, main)
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python would try once more as it ends, and tell of that in its own words.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        end = end or (NOBODY_READS if isinstance(error, BrokenPipeError) else _line(name, error))
    if end:
        sys.exit(end)


def open_streams() -> None:
    """Give a standard stream that the caller closed (`2>&-`) the null device.

    Else the next file that is opened takes its number, and with it what is meant for the stream.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _line(name: str, error: OSError) -> str:
    where = f": {error.filename}" if error.filename else ""
    return printable(f"{name}: {error.strerror or error}{where}")


def _end(name: str, main: Callable[[], None]) -> str | int | None:
    """What the process is to end with once `main` is through: an exit code, or a line to say."""
    try:
        main()
    except SystemExit as end:  # of `--help`
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
        # TensorFlow's own, by its name, since not all that comes here imports TensorFlow.
        if not isinstance(error, MemoryError) and type(error).__name__ != "ResourceExhaustedError":
            raise
        wanted = re.search(r"OOM when allocating tensor with shape\S+|Unable .*", str(error))
        return (
            f"{name}: out of memory{f' ({wanted[0]})' if wanted else ''}; lower `batch_size` or "
            "`units` of the model, `tokenize.max_length`, or the number of reviews"
        )
    return None
