"""`python fake_worker.py`: a worker like any other, but with experts that answer at once. Run as a process of its own,
so that it can be killed.

`AEGIS_TEST_EXPERTS` names other experts, with commas between them: `instant`, `nan`, `slow`, `crashing`, or a number,
which is what that expert says of everything. Their names are `expert0`, `expert1`, ..."""

import os
import sys

from experts.base import Expert
from experts.executor import Panel
from experts.fakes import ConstantExpert, CrashingExpert, InstantExpert, NaNExpert, SlowExpert
from stream import logs
from stream.commands import exit_code
from stream.commands.worker import serve
from stream.errors import StreamError
from stream.settings import Settings

CHOSEN = "AEGIS_TEST_EXPERTS"


def expert(number: int, kind: str) -> Expert:
    """Raises ValueError for a kind that is not listed above."""
    name = f"expert{number}"
    match kind:
        case "instant":
            return InstantExpert(name, salt=number)
        case "nan":
            return NaNExpert(name)
        case "slow":
            return SlowExpert(name=name)
        case "crashing":
            return CrashingExpert(name=name)
    return ConstantExpert(float(kind), name)


def main() -> None:
    settings = Settings.load()
    logs.configure(settings.log_level, settings.log_format)
    kinds = os.environ.get(CHOSEN, "instant,instant,instant").split(",")
    panel = Panel([expert(number, kind) for number, kind in enumerate(kinds)], settings.expert_timeout)
    serve(settings, panel)


if __name__ == "__main__":
    try:
        main()
    except StreamError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(exit_code(error))
