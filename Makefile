# Two commands matter: `make book` and `make test`. Works with GNU make 3.81 and any POSIX shell.
# PYTHON=python3.12 chooses the Python that makes .venv; PORT=8001 the port of `make serve`;
# WORKERS=4 how many tests run at a time (each uses one core and up to 5 GB).

PY = .venv/bin/python
PORT = 8000
WORKERS = 2
PYTEST = $(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# What Python compiles is kept, also where a machine's settings say otherwise: tools/venv.sh relies on it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help book serve test quick attack coverage notebooks lint bench lock clean

help:
	@echo 'make book       build the website into _site/ (with Quarto when installed, else Sphinx)'
	@echo 'make serve      serve _site/ on http://127.0.0.1:$(PORT)/'
	@echo 'make test       run everything: unit, parity, notebooks, site, faults'
	@echo 'make quick      run the unit tests of the library alone'
	@echo 'make attack     kill, cut, flip, fill and deceive the library, thousands of times (10 minutes)'
	@echo 'make coverage   run everything and say which lines and branches of the library it reaches'
	@echo 'make notebooks  run every chapter and solution again and store the outputs'
	@echo 'make lint       check the style of all Python code'
	@echo 'make bench      run the side-by-side benchmarks'
	@echo 'make lock       choose new exact versions for requirements.lock'
	@echo 'make clean      remove everything made here, .venv included'

book:
	@sh tools/venv.sh site
	@$(PY) site/build.py

serve:
	@sh tools/venv.sh site
	@$(PY) site/serve.py $(PORT)

test:
	@sh tools/venv.sh all
	@$(PYTEST) --durations 15 tests

quick:
	@sh tools/venv.sh all
	@$(PYTEST) -q -m 'not slow' tests

# In one process, which counts: the summary says how many attacks of each kind there were.
attack:
	@sh tools/venv.sh all
	@ATTACK=full $(PY) -m pytest -q tests/attack

coverage:
	@sh tools/venv.sh all
	@$(PYTEST) --cov tssbook --cov-branch --cov-report term-missing:skip-covered tests

notebooks:
	@sh tools/venv.sh all
	@$(PY) tools/notebooks.py

lint:
	@sh tools/venv.sh lint
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

bench:
	@sh tools/venv.sh all
	@$(PY) bench/report.py

lock:
	@sh tools/venv.sh all
	@$(PY) tools/lock.py

clean:
	rm -rf .venv _site build dist .pytest_cache .ruff_cache .hypothesis .quarto site/build site/vega.js site/live.js site/weights-*.js api/_*.md _path.md _needs.md _glossary.md _files.md
	rm -f .coverage
	find lib tests tools bench site chapters solutions -name __pycache__ -prune -exec rm -rf {} +
