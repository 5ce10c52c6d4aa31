"""infinity-emb, in its own environment. `infinity.py MODEL ENGINE TEXTS`, the engine `torch` (its default) or
`optimum` (ONNX)."""

import asyncio
import sys

from infinity_emb import AsyncEmbeddingEngine, EngineArgs

from benchmarks.serving.protocol import serve


def main() -> None:
    arguments = EngineArgs(model_name_or_path=sys.argv[1], engine=sys.argv[2], device="cpu", model_warmup=False)
    loop = asyncio.new_event_loop()
    engine = AsyncEmbeddingEngine.from_args(arguments)
    loop.run_until_complete(engine.astart())

    def score(texts: list[str]) -> list[float]:
        found, _ = loop.run_until_complete(engine.classify(sentences=texts))
        return [next(each["score"] for each in classes if each["label"] == "unsafe") for classes in found]

    serve(score)
    loop.run_until_complete(engine.astop())


if __name__ == "__main__":
    main()
