# The jobs of a developer. `make` lists them.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/

help:  ## list the jobs
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(RUN)pip install -q --upgrade pip

dev: $(VENV)/bin/python  ## a virtual environment with everything, and an editable build; again after editing a kernel
	TEMPSOFT_WERROR=1 $(RUN)pip install -q -e '.[cli,test,dev]'

test: dev  ## build what was edited, and run the tests on the reference and every instruction set of this CPU
	$(RUN)python -m pytest -q -n auto

test-slow: dev  ## the longer campaigns of the tests
	$(RUN)python -m pytest -q -n auto -m slow

test-avx512:  ## the AVX-512 kernels on any CPU, their intrinsics in plain C
	rm -rf build/emulated && mkdir -p build/emulated
	cp -r pyproject.toml setup.py LICENSE README.md tempsoft tests examples build/emulated
	rm -f build/emulated/tempsoft/*.so
	$(PYTHON) -m venv build/emulated/venv
	cd build/emulated && TEMPSOFT_EMULATE_AVX512=1 venv/bin/pip install -q -e '.[cli,test]'
	cd build/emulated && venv/bin/python -m pytest -q -k avx512

test-sanitized:  ## the tests of inputs, limits and draws under AddressSanitizer and UBSan
	rm -rf build/sanitized && mkdir -p build/sanitized
	cp -r pyproject.toml setup.py LICENSE README.md tempsoft tests examples build/sanitized
	rm -f build/sanitized/tempsoft/*.so
	$(PYTHON) -m venv build/sanitized/venv
	cd build/sanitized && TEMPSOFT_SANITIZE=address,undefined venv/bin/pip install -q -e '.[cli,test]'
	cd build/sanitized && LD_PRELOAD=$$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 \
	    venv/bin/python -m pytest -q tests/test_inputs.py tests/test_out.py tests/test_limits.py tests/test_rare_categories.py \
	    tests/test_filters.py tests/test_filtered_draws.py tests/test_without_replacement.py tests/test_weights.py \
	    tests/test_shapes_of_work.py tests/test_log_prob.py tests/test_end_of_memory.py \
	    tests/test_turned.py tests/test_short_filters.py tests/test_direct.py

test-migration:  ## docs/migrating.md and arrays of other libraries, against pinned versions of these
	rm -rf build/migration && mkdir -p build/migration
	cp -r pyproject.toml setup.py LICENSE README.md tempsoft tests docs examples build/migration
	rm -f build/migration/tempsoft/*.so
	$(PYTHON) -m venv build/migration/venv
	cd build/migration && venv/bin/pip install -q -e '.[test]' -r tests/migration_requirements.txt $(MIGRATION_EXTRA)
	cd build/migration && venv/bin/pip install -q --no-deps transformers==5.23.0
	cd build/migration && venv/bin/python -m pytest -q tests/test_migrating.py tests/test_interchange.py tests/test_special.py

climb: dev  ## look for rows of large error by hill climbing, and keep the worst
	$(RUN)python tests/adversarial/climb.py --seconds 300 --dtype float32
	$(RUN)python tests/adversarial/climb.py --seconds 300 --dtype float64

lint: dev  ## ruff, cython-lint, clang-format, mypy and stubtest, clean
	$(RUN)ruff check .
	$(RUN)ruff format --check .
	PATH="$(CURDIR)/$(RUN):$$PATH" $(RUN)cython-lint tempsoft/_kernels.pyx tempsoft/*.pxi
	$(RUN)clang-format --dry-run --Werror tempsoft/kernel/*.[ch] tests/emulation/*.h
	! grep -nE '^.{121}' tempsoft/kernel/*.[ch]  # comments are not wrapped by it
	$(RUN)mypy
	$(RUN)python -m mypy.stubtest tempsoft --mypy-config-file pyproject.toml --allowlist tests/stubtest_allowlist.txt

format: dev  ## what lint would have
	$(RUN)ruff check --fix .
	$(RUN)ruff format .
	$(RUN)clang-format -i tempsoft/kernel/*.[ch] tests/emulation/*.h

bench: $(VENV)/bin/python  ## tempsoft beside its rivals, pinned versions of them; BENCH=--quick takes a minute
	$(RUN)pip install -q -e '.[bench,test]'
	$(RUN)python -m benchmarks $(BENCH)

bench-pytest: $(VENV)/bin/python  ## the same cases with pytest-benchmark; BENCH=--benchmark-compare and other options
	$(RUN)pip install -q -e '.[bench,test]'
	$(RUN)python -m pytest -q benchmarks $(BENCH)

bench-guard: dev  ## instructions of fixed calls beside the recorded ones, under valgrind: no clock, minutes
	$(RUN)python -m benchmarks.guard

coefficients: dev  ## make the polynomials again
	$(RUN)python tempsoft/kernel/coefficients.py > tempsoft/kernel/coefficients.h

sdist: $(VENV)/bin/python  ## a source distribution, and a wheel built from it
	$(RUN)pip install -q build
	$(RUN)python -m build

ci:  ## what runs on every change: the two commands of the README, from a clean checkout
	bash .ci/run

clean:  ## remove what was built
	rm -rf build dist *.egg-info tempsoft/*.so tempsoft/_kernels.c

.PHONY: help dev test test-slow test-avx512 test-sanitized test-migration climb lint format bench bench-pytest bench-guard coefficients sdist ci clean
