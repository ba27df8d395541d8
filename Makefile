# The commands of the project. On a new machine nothing has to be done before: each makes .venv if it is missing or
# older than requirements.txt or pyproject.toml. PYTHON chooses the interpreter: `make test PYTHON=python3.11`.

RIGHT_PYTHON := import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))
PYTHON ?= $(shell for name in python3.11 python3.12 python3.10 python3; do \
            $$name -c '$(RIGHT_PYTHON)' 2>/dev/null && echo $$name && break; done)
VENV   := .venv
BIN    := $(VENV)/bin
SLICER := .venv-slicer
STAMP  := $(VENV)/.installed
OUT    ?= demo_output
PORT   ?= 8000
JOBS   ?= 2

# sam2, which MONAI Label asks for, would otherwise try to compile a CUDA extension that nothing here uses.
export SAM2_BUILD_CUDA := 0
# Waiting threads sleep: with a server beside the tests on few cores, spinning ones would slow down everything.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: batch-test browser demo learn loop pacs test slicer-test slicer-extension translations reliability lint types server doctor clean help

help:
	@echo "make demo     segment organs of a real CT through a real server; writes $(OUT)/"
	@echo "make browser  the sample CT in a web browser: Orthanc, the server and the address to open"
	@echo "make pacs     Orthanc alone, with the sample CT, for a server of your own"
	@echo "make learn    outline an unknown organ on three slices, complete, correct, name it, compare; writes $(OUT)/learn.png"
	@echo "make loop     annotate, train, promote, roll back on 8 volumes of LOOP_DATA=dataset, or of the sample CT"
	@echo "make test     run the tests, in JOBS=2 processes"
	@echo "make slicer-test  those of the 3D Slicer module alone, in Slicer's own libraries"
	@echo "make slicer-extension  write the repository SlicerSEGSAM for the Extensions Index to OUT=build/SlicerSEGSAM"
	@echo "make translations  bring those of the 3D Slicer module up to date with its texts"
	@echo "make reliability  the fault, load and fuzz tests in full, with measured figures: hours"
	@echo "make batch-test  a whole archive on two workers of Ray Data, one of which is killed"
	@echo "make lint     ruff and mypy"
	@echo "make server   MONAI Label server for the images in STUDIES=folder on 127.0.0.1:$(PORT)"
	@echo "make doctor   check this machine"
	@echo "make clean    remove what was built (not the sample cache)"

demo: $(STAMP)
	$(BIN)/segsam demo --out $(OUT)

learn: $(STAMP)
	@mkdir -p $(OUT)
	$(BIN)/python -m segsam_app.loop.learn --sheet $(OUT)/learn.png $(if $(ORGAN),--organ $(ORGAN))

# Orthanc is a package of Debian and Ubuntu: apt-get install orthanc orthanc-dicomweb
browser: $(STAMP)
	@$(BIN)/python -m segsam_app.browser --folder "$(OUT)/browser" --port $(PORT)

pacs: $(STAMP)
	@$(BIN)/python -m segsam_app.browser --folder "$(OUT)/browser" --pacs-only

loop: $(STAMP)
	$(BIN)/python -m segsam_app.loop $(if $(LOOP_DATA),--data "$(LOOP_DATA)")

# JOBS processes, which share the processor by having a thread each.
test: export OMP_NUM_THREADS := 1
test: $(STAMP) $(SLICER)/.installed
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder
	@$(MAKE) --no-print-directory slicer-test

# In their own environment, because Slicer's libraries need another numpy than MONAI Label. The server runs in .venv.
# A file stays in one process: each process has a scene, and at most one shared server.
slicer-test: export OMP_NUM_THREADS := 1
slicer-test: $(STAMP) $(SLICER)/.installed
	QT_QPA_PLATFORM=offscreen $(SLICER)/bin/python -m pytest -c tests/slicer/pytest.ini tests/slicer \
	  -n $(JOBS) --dist loadfile --no-loadscope-reorder

# The repository that 3D Slicer's Extensions Index builds from; docs/publishing.md says what to do with it.
slicer-extension: OUT := build/SlicerSEGSAM
slicer-extension:
	@"$(PYTHON)" slicer_module/write_repository.py "$(OUT)"

translations: $(SLICER)/.installed
	@$(SLICER)/bin/python slicer_module/update_translations.py

# Tests of which `make test` runs a short form, at the length that docs/reliability.md reports. Needs a quiet machine.
RELIABILITY := tests/app/storage/test_faults.py tests/app/versions/test_versions.py tests/app/test_load.py \
               tests/app/test_annotators.py tests/app/test_killed_server.py tests/app/routes/test_training.py \
               tests/lib/imaging/test_readers.py tests/lib/prompting/test_prompt_fuzz.py tests/properties
reliability: export SEGSAM_TEST_FULL := 1
reliability: export SEGSAM_TEST_KILLS ?= 200
reliability: $(STAMP) $(SLICER)/.installed
	$(BIN)/python -m pytest -o timeout=0 --durations=0 $(RELIABILITY)
	QT_QPA_PLATFORM=offscreen $(SLICER)/bin/python -m pytest -c tests/slicer/pytest.ini tests/slicer/test_readers.py

# Ray Data is optional: `make test` skips these tests where it is not installed.
batch-test: $(STAMP)
	$(BIN)/python -m pip install $(if $(CI),--quiet) -e ".[cluster]" -r requirements.txt
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/lib/batch/test_batch.py tests/lib/batch/test_ray_workers.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

doctor: $(STAMP)
	$(BIN)/segsam doctor

server: $(STAMP)
	@test -n "$(STUDIES)" || { echo "Expected a folder of images, got none: make server STUDIES=path/to/folder"; exit 2; }
	MONAI_LABEL_TRACKING_ENABLED=false MLFLOW_DISABLE_TELEMETRY=true \
	  $(BIN)/python -m monailabel.main start_server --app monailabel_app --studies "$(STUDIES)" --host 127.0.0.1 --port $(PORT)

$(STAMP): requirements.txt pyproject.toml
	@"$(PYTHON)" -c '$(RIGHT_PYTHON)' || \
	  { echo "SEG-SAM needs Python 3.10, 3.11 or 3.12, and found none. Name one: make PYTHON=/path/to/python"; exit 2; }
	@echo "Installing into $(VENV): some minutes and, with the GPU build of torch, 9 GB"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install $(if $(CI),--quiet) --upgrade pip
	$(BIN)/python -m pip install $(if $(CI),--quiet) --no-compile -r requirements.txt -e ".[dev]"
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib lib monailabel_app || true  # pip does it on one core; packages hold files of no Python
	@touch $@

$(SLICER)/.installed: tests/slicer/requirements.txt
	@echo "Installing 3D Slicer's libraries into $(SLICER): some minutes and 1.4 GB"
	@test -x $(SLICER)/bin/python || "$(PYTHON)" -m venv $(SLICER)
	$(SLICER)/bin/python -m pip install $(if $(CI),--quiet) --upgrade pip
	$(SLICER)/bin/python -m pip install $(if $(CI),--quiet) -r tests/slicer/requirements.txt
	$(SLICER)/bin/python -m pip install $(if $(CI),--quiet) --no-deps slicer-layer-dm==2.0.0
	@touch $@

clean:
	rm -rf $(VENV) $(SLICER) $(OUT) build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
