"""The pipeline of transformers with batches of 32, on PyTorch. `pipeline.py MODEL TEXTS`."""

import sys

import transformers

from benchmarks.serving.protocol import serve

BATCH = 32


def main() -> None:
    transformers.logging.set_verbosity_error()
    classify = transformers.pipeline("text-classification", model=sys.argv[1], device="cpu", top_k=None)

    def score(texts: list[str]) -> list[float]:
        found = classify(texts, batch_size=BATCH, truncation=True, max_length=128, padding=True)
        return [next(each["score"] for each in classes if each["label"] == "unsafe") for classes in found]

    serve(score)


if __name__ == "__main__":
    main()
