"""Errors as part of the interface: one line that says what, where and what to do."""

import re
import sys
from collections.abc import Callable


class PipelineError(Exception):
    """A problem that the user can mend. Its message is one line: what, where, what to do.

    Only the faults of a file of parameters, where there are several, have a line each.
    """


def run(name: str, main: Callable[[], None]) -> None:
    """Call `main`; end the process with one line and exit code 1 where its input is at fault.

    Args:
        name: what the user called, put in front of the message (`fetch`, `predict`).
        main: the entry point. A `PipelineError`, and an `OSError` such as a full disk or a file
            that may not be read, become one line on standard error, and so does a lack of memory;
            any other exception is a defect of this project and keeps its traceback.
    """
    try:
        main()
    except PipelineError as error:
        sys.exit(f"{name}: {error}")
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        sys.exit(f"{name}: {error.strerror or error}{where}")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        # TensorFlow's own, by its name, since not all that comes here imports TensorFlow.
        if not isinstance(error, MemoryError) and type(error).__name__ != "ResourceExhaustedError":
            raise
        reason = re.sub(r"{{.*?}}|\[Op:.*?\]", "", " ".join(str(error).split()))[:200].strip()
        sys.exit(
            f"{name}: out of memory ({reason}); lower `batch_size` or `units` of the model, "
            "`tokenize.max_length`, or the number of reviews"
        )
