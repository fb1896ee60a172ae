# Two commands matter: `make book` and `make test`. Works with GNU make 3.81 and any POSIX shell.
# PYTHON=python3.12 chooses the Python that makes .venv; PORT=8001 the port of `make serve`.

PY = .venv/bin/python
PORT = 8000

.PHONY: help book serve test notebooks lint bench lock clean

help:
	@echo 'make book       build the website into _site/ (with Quarto when installed, else Sphinx)'
	@echo 'make serve      serve _site/ on http://127.0.0.1:$(PORT)/'
	@echo 'make test       run everything: unit, parity, notebooks, site, faults'
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
	@$(PY) -m pytest --nbval --nbval-current-env --nbval-cell-timeout 300 \
	    -n 2 --dist loadfile tests chapters solutions

notebooks:
	@sh tools/venv.sh all
	@$(PY) tools/notebooks.py

lint:
	@sh tools/venv.sh lint
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

bench:
	@sh tools/venv.sh all
	@set -e; for file in bench/[!_]*.py; do echo "== $$file"; $(PY) "$$file"; done

lock:
	@sh tools/venv.sh all
	@$(PY) tools/lock.py

clean:
	rm -rf .venv _site build dist .pytest_cache .ruff_cache .hypothesis .quarto site/build site/vega.js
	find lib tests tools bench site chapters solutions -name __pycache__ -prune -exec rm -rf {} +
