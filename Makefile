# Everything a developer runs. A bare machine needs Python 3.11 or newer with pip, and make; the rest is fetched once.
#
#   PYTHON=python3.12      build .venv with this interpreter       ARGS="-k seam -x"   more arguments for pytest or a bench
#   HEADGATE_HOME=DIR      keep downloaded models elsewhere        HEADGATE_REQUIRE=vllm   a skipped part is a failure

SHELL := /bin/sh
.DEFAULT_GOAL := help
# Without cached bytecode every start of vLLM compiles some 3,000 files, for 15 s.
unexport PYTHONDONTWRITEBYTECODE
export HEADGATE_HOME ?= $(CURDIR)/.cache
RUN := .venv/bin/python
DEMO_MODEL := SmolLM2-135M-Instruct

.PHONY: help demo test check bench proto lock vllm ray kube kube-up kube-down clean packages ready model control-plane

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1~/p' $(MAKEFILE_LIST) | awk -F '~' '{ printf "%-16s %s\n", $$1, $$2 }'

demo: model ## start three pools, send real prompts, stay up until Ctrl-C (ONCE=1: stop after the answers)
	@exec $(RUN) -m cli demo $(if $(ONCE),--once)

test: model control-plane check ## everything: checks, tests, tests on Kubernetes and on real vLLM (ARGS=... goes to pytest)
	@exec $(RUN) tools/run_tests.py $(ARGS)

check: packages ## format, lint, types, import rules
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy
	@PYTHONPATH=proto .venv/bin/lint-imports --no-logo

bench: ready ## one benchmark: NAME=decision
	@$(RUN) tools/run_bench.py $(NAME) $(ARGS)

proto: packages ## generate the code of proto/headgate
	@tools/proto.sh $(RUN) proto

lock: packages ## resolve requirements/*.txt anew (UPGRADE=1: to the newest)
	@tools/lock.sh .cache/uv/bin/uv

vllm: ## install real vLLM for CPU, or say why it cannot be
	@python=$$(tools/find-python) && exec "$$python" tools/prepare.py --vllm=must

ray: ## install Ray Serve, or say why it cannot be
	@python=$$(tools/find-python) && exec "$$python" tools/prepare.py --ray=must

kube: packages ## build a Kubernetes control plane for tests, or say why it cannot be (once per machine: five to ten minutes)
	@exec $(RUN) -m tools.kube.prepare --must

kube-up: kube ## start that control plane in the background, with three GPU nodes that are played
	@exec $(RUN) -m tests.kube.cluster up

kube-down: packages ## end it
	@exec $(RUN) -m tests.kube.cluster down

clean: ## remove what make made, the environment and the models too
	rm -rf .venv .cache bench-out dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

packages:
	@python=$$(tools/find-python) && exec "$$python" tools/prepare.py

ready:
	@python=$$(tools/find-python) && exec "$$python" tools/prepare.py --vllm --ray

control-plane: packages
	@exec $(RUN) -m tools.kube.prepare

model: ready
	@test -e .cache/vllm-unavailable || exec $(RUN) -m cli models fetch $(DEMO_MODEL) >/dev/null
