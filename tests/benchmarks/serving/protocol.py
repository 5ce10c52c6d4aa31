"""How a contestant is asked, over its standard input and output. Standard library only: one of them runs in an
environment of its own."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

GO = "go"


def serve(score: Callable[[list[str]], Sequence[float]]) -> None:
    """Scores the texts of the file that the last argument names, once for each line `go`; prints seconds, processor
    seconds and the probabilities of unsafe. The first pass, before any of that, warms up."""
    texts = json.loads(Path(sys.argv[-1]).read_text())
    score(texts)
    answer(ready=True)
    for line in sys.stdin:
        assert line.strip() == GO
        began, used = time.perf_counter(), time.process_time()
        scores = score(texts)
        seconds, processor = time.perf_counter() - began, time.process_time() - used
        answer(seconds=seconds, processor=processor, scores=[float(value) for value in scores])


def answer(**values: object) -> None:
    """One line of JSON, marked, since libraries print to standard output, too."""
    print(f"{MARK}{json.dumps(values)}", flush=True)


MARK = "ANSWER "
