"""This project's executor, asked as the worker asks it. `panel.py EXPERT TEXTS`."""

import sys
from pathlib import Path

from benchmarks.serving.protocol import serve
from experts.base import Passage
from experts.executor import Panel
from experts.registry import load_expert


def main() -> None:
    panel = Panel([load_expert(Path(sys.argv[1]), "cpu")])
    panel.warm_up()
    serve(lambda texts: panel.advise([Passage("user", text) for text in texts]).scores[:, 0].tolist())
    panel.close()


if __name__ == "__main__":
    main()
