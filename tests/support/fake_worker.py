"""`python fake_worker.py`: a worker like any other, but with experts that answer at once. Run as a process of its own,
so that it can be killed."""

from experts.executor import Panel
from experts.fakes import InstantExpert
from stream import logs
from stream.commands.worker import serve
from stream.settings import Settings

EXPERTS = tuple(InstantExpert(f"expert{salt}", salt=salt) for salt in range(3))

if __name__ == "__main__":
    settings = Settings.load()
    logs.configure(settings.log_level, settings.log_format)
    serve(settings, Panel(EXPERTS))
