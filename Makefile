# Two commands are enough: `make book` and `make test`. Each line here is short on purpose; README.md repeats the raw ones.
PYTHON ?= python3
PY := .venv/bin/python
EXTRAS := book,tune,test
# Other parameters of the chapters: make book PARAMS=book/smoke.yaml
BOOK := $(if $(PARAMS),--params $(PARAMS))
# Another set of dependencies is another environment: the stamp carries their hash.
READY := .venv/.ready-$(shell cat pyproject.toml constraints.txt | sha256sum | cut -c1-12)
# Say at the end what was made, where, and how long it took.
SAY = $(PY) -c 'import sys, time; m = (time.time() - float(sys.argv[1])) / 60; print(f"\n{sys.argv[2]} ({m:.1f} min)")' $$start

.PHONY: book test slow pages papermill sweep bench lab serve setup clean
setup: $(READY)

$(READY):
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"Python 3.11 to 3.13 is needed, not {v[0]}.{v[1]}; name one: make PYTHON=python3.12 ...")'
	@start=$$(date +%s); echo "setting up .venv (the download of torch takes a few minutes the first time)"; \
	$(PYTHON) -m venv .venv && \
	$(PY) -m pip install --quiet -c constraints.txt uv && \
	{ $(PY) -m uv pip install --python $(PY) -c constraints.txt -e ".[$(EXTRAS)]" || \
	  $(PY) -m pip install -c constraints.txt -e ".[$(EXTRAS)]"; } && \
	rm -f .venv/.ready-* && touch $@ && $(SAY) "made .venv with everything in constraints.txt"

book: $(READY)
	@start=$$(date +%s); $(PY) book/prepare.py $(BOOK) && $(PY) book/build.py $(BOOK) && \
	$(SAY) "made the book: open _build/html/index.html, or \`make serve\`"

# Two processes with a thread each: most tests use one, and threads of two would wait for each other.
test: $(READY)
	@start=$$(date +%s); OMP_NUM_THREADS=1 $(PY) -m pytest -m "not pages and not slow" -n 2 --dist loadfile && $(SAY) "tested the library and a smoke book"

slow: $(READY)
	@start=$$(date +%s); $(PY) -m pytest -m slow && $(SAY) "tested sweeps, kills, clusters, ranks, JupyterLab"

pages: $(READY)
	@start=$$(date +%s); $(PY) -m pytest -m pages tests && $(SAY) "opened every page of _build/html in a browser"

papermill: $(READY)
	@start=$$(date +%s); $(PY) book/run_chapters.py && $(SAY) "ran every chapter: notebooks and times in _build/papermill"

sweep: $(READY)
	$(PY) tuning/sweep.py

bench: $(READY)
	@$(PY) -m pip install --quiet -c constraints.txt -e ".[bench]"
	@start=$$(date +%s); $(PY) benchmarks/compare.py && $(SAY) "measured: benchmarks/results, and the tables of benchmarks/README.md"

lab: $(READY)
	JUPYTER_CONFIG_PATH=$(CURDIR)/book/_lab $(PY) -m jupyterlab --notebook-dir=book

serve:
	@test -f _build/html/index.html || { echo "no book in _build/html yet: run \`make book\` first"; exit 1; }
	@echo "the book is at http://localhost:8000 (Ctrl-C ends)"
	@$(PYTHON) -m http.server 8000 --bind 127.0.0.1 --directory _build/html

clean:
	rm -rf _build .pytest_cache .ruff_cache
