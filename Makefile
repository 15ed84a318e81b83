PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

export NO_ALBUMENTATIONS_UPDATE := 1
# Where bytecode is not kept, every start compiles torch anew: some ten seconds.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup demo test drill fuzz lint bench rasters notebooks clean

setup: $(READY)

$(READY): requirements.txt requirements-dev.txt pyproject.toml setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $(READY)

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0

# Faults at random instants of real commands, which must end as if nothing had been: 12 minutes on idle cores.
drill: $(READY)
	OMP_NUM_THREADS=1 PYTHONPATH=src:. $(BIN)/python -m tests.drill

# A million run lengths and 100,000 inputs of each other kind: less than ten minutes.
fuzz: $(READY)
	$(BIN)/python -W ignore -m tests.fuzz --inputs 100000

# One fold without views against all folds, views and tuned decoding, both on the withheld test truth.
DEMO := --runs runs/demo --overwrite --out submissions
demo: $(READY)
	test -d data/demo || $(BIN)/python src/make_demo.py
	$(BIN)/python src/train_all.py --config configs/demo.yaml --parallel 2
	$(BIN)/python src/predict.py $(DEMO)/demo_one_fold.csv --folds 0 --untuned --tta.views none
	$(BIN)/python src/tune.py --runs runs/demo
	$(BIN)/python src/predict.py $(DEMO)/demo_ensemble.csv
	$(BIN)/python src/compare.py submissions/demo_ensemble.csv submissions/demo_one_fold.csv \
		--config runs/demo/config.yaml --truth data/demo/test_a_truth.csv
	$(BIN)/python src/report.py --runs runs/demo

# The executed copies, with their pictures, are in runs/notebooks.
notebooks: $(READY)
	$(BIN)/python notebooks/execute.py

bench: $(READY)
	$(BIN)/python benchmarks/bench_rle.py --repeats 8
	$(BIN)/python benchmarks/bench_input.py --images 64 --epochs 3
	$(BIN)/python benchmarks/bench_losses.py
	$(BIN)/python benchmarks/bench_crf.py
	$(BIN)/python benchmarks/bench_engines.py --size 256 --repeats 5
	$(BIN)/python benchmarks/bench_train.py --size 256 --no-compiled
	$(BIN)/python benchmarks/bench_predict.py --size 256 --usual-images 4 --repeats 2
	$(BIN)/python benchmarks/bench_memory.py --images 200 1000
	$(BIN)/python benchmarks/bench_tune.py --images 250
	$(BIN)/python benchmarks/bench_startup.py --repeat 1
	$(BIN)/python benchmarks/bench_table.py --rows 100000

# A raster of 20,000 pixels a side: minutes, and 2 GB of memory at most.
rasters: $(READY)
	$(BIN)/python benchmarks/bench_rasters.py --scale 0.25

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

clean:
	rm -rf $(VENV) runs/demo data/demo .pytest_cache .ruff_cache
