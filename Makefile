# Tasks of pygase-rs. `make` alone lists them. Needs Rust, Python 3.10 or newer and make; the rest is
# installed into .venv (and .venv-original for the released PyGaSe: the oracle of the compatibility tests and
# the other side of the interoperation tests).

# The first of these that is there and new enough, unless PYTHON says otherwise.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.10; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$python && break; done)

BIN := .venv/bin
ORIGINAL := .venv-original/bin/python
CARGO := cargo
PYTEST := $(BIN)/python -m pytest
# These tests wait more than they compute: three at a time keep two cores busy.
SIDE_BY_SIDE := -n 3
SOURCES := $(shell find src -name '*.rs') Cargo.toml Cargo.lock pyproject.toml

# Where the builds without batched UDP go: a copy of the package that is put in front with PYTHONPATH.
PORTABLE := .cache/portable

# maturin installs into the environment that is active. Cargo gets the same interpreter from PYO3_PYTHON, so
# that PyO3 is compiled once for all that follows.
export VIRTUAL_ENV := $(CURDIR)/.venv
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
export PYGASE_ORIGINAL_PYTHON := $(CURDIR)/$(ORIGINAL)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport CONDA_PREFIX PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

## what you want

.PHONY: help
help: ## list the targets
	@echo "pygase-rs: make ..."
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: core-fast ## build, and watch four bots play chase over the wire (SECONDS=15)
	@$(BIN)/python examples/chase/demo.py --seconds $(or $(SECONDS),15)

STAGES := rustfmt clippy rustdoc ruff mypy pyright shim layers stubtest rust-test rust-portable rust-session instructions fuzz-test \
	py-unit py-property py-compat py-compat-original interop py-portable

.PHONY: test
test: ## run every check and test, with the seconds each stage takes
	@$(PYTHON) scripts/stages.py "$(MAKE)" environments $(STAGES)

.PHONY: test-all
test-all: environments ## the Python tests on every CPython from 3.10 to 3.13 that this machine has
	$(BIN)/python scripts/all_pythons.py

.PHONY: wheel
wheel: .venv/.build-tools ## build an optimised wheel into dist/
	@rm -rf dist
	$(BIN)/maturin build --release --locked --interpreter $(BIN)/python --out dist
	@ls -l dist

.PHONY: screenshots
screenshots: .venv/.dev-tools core-fast ## the pictures in docs/images, from the examples (needs no screen)
	@$(BIN)/python -m pip install --quiet $(patsubst %,-r %,$(wildcard examples/*/requirements.txt))
	@$(BIN)/python scripts/screenshots.py

.PHONY: wheels
wheels: .venv/.dev-tools .venv-original/.installed ## wheels for all CPythons of this machine, and the sdist: built, checked, tested (ARGUMENTS="--no-build 3.11")
	$(BIN)/python -m pip install --quiet -r requirements-wheels.txt
	$(BIN)/python scripts/wheels.py $(ARGUMENTS)

.PHONY: workflows
workflows: | $(BIN)/python ## the GitHub workflows against their schema and the auditor zizmor (they cannot run here)
	$(BIN)/python -m pip install --quiet -r requirements-workflows.txt
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline .github

.PHONY: frozen
frozen: .venv/.dev-tools core-test ## freeze a game and the window of chase into one file each with PyInstaller, and play them
	$(BIN)/python -m pip install --quiet -r requirements-frozen.txt
	$(BIN)/python scripts/frozen.py

.PHONY: mutants
mutants: environments ## break the code in known ways (tests/mutants) and see the tests notice
	$(BIN)/python scripts/mutants.py

.PHONY: attacks
attacks: environments core-fast ## what kills the released PyGaSe, tried on it and on this, in one table
	$(BIN)/python scripts/attacks.py

.PHONY: grid
grid: ## every kind of fault with every other, with each pair of implementations, on the simulated clock (SEEDS=3)
	cd fuzz && $(CARGO) run --quiet --locked --no-default-features --target-dir ../target/fuzz --bin play grid $(or $(SEEDS),3) 1

.PHONY: soak
soak: ## long games on a simulated network that changes (SEEDS=10000, from SEED=0)
	cd fuzz && $(CARGO) run --quiet --locked --no-default-features --target-dir ../target/fuzz --bin play soak $(or $(SEED),0) $(or $(SEEDS),10000)

.PHONY: soak-hour
soak-hour: ## what an hour of 50 joins a second leaves in the server's memory, on the simulated clock (SECONDS=3600)
	cd fuzz && $(CARGO) run --quiet --locked --no-default-features --target-dir ../target/fuzz --bin play joins $(or $(SECONDS),3600) 50

.PHONY: soak-live
soak-live: ## 200 clients behind a bad line and malformed datagrams beside them, live on loopback (SECONDS=600)
	cd fuzz && $(CARGO) run --quiet --locked --no-default-features --target-dir ../target/fuzz --bin live $(or $(SECONDS),600)

.PHONY: soak-properties
soak-properties: environments core-test ## the property tests for long (CASES=50000)
	PROPTEST_CASES=$(or $(CASES),50000) $(CARGO) test --locked --no-default-features --test state -- network whole
	PROPTEST_CASES=$(or $(CASES),50000) $(CARGO) test --locked --no-default-features --test replication sessions
	PROPTEST_CASES=$(or $(CASES),50000) $(CARGO) test --locked --no-default-features --lib endpoint::tests::events
	HYPOTHESIS_CASES=$(or $(CASES),50000) $(PYTEST) tests/property

.PHONY: fuzz
fuzz: .cache/cargo/bin/cargo-fuzz ## libFuzzer with AddressSanitizer on every decoder and machine (MINUTES=20)
	@for target in decoders scripts; do \
		mkdir -p .cache/fuzz/$$target && PATH="$(CURDIR)/.cache/cargo/bin:$$PATH" \
		$(CARGO) +nightly fuzz run --target-dir target/fuzz-asan $$target .cache/fuzz/$$target fuzz/corpus/$$target -- \
			-max_total_time=$$(( $(or $(MINUTES),20) * 30 )) -max_len=4096 -rss_limit_mb=2048 -timeout=10 || exit 1; \
	done

.PHONY: sanitize
sanitize: ## the Rust tests under AddressSanitizer, those with threads under ThreadSanitizer (nightly with rust-src)
	@host=$$(rustc -vV | sed -n 's/^host: //p'); \
	for pair in address:overrun:--tests thread:race:--test=net; do \
		sanitizer=$${pair%%:*} folder=$(CURDIR)/target/sanitize-$${pair%%:*} tests=$${pair##*:} mistake=$${pair#*:}; \
		export RUSTFLAGS=-Zsanitizer=$$sanitizer RUST_BACKTRACE=0; \
		export TSAN_OPTIONS=suppressions=$(CURDIR)/scripts/thread-sanitizer.supp; \
		options="-Zbuild-std --locked --no-default-features --target $$host --target-dir $$folder"; \
		(cd fuzz && $(CARGO) +nightly build $$options --bin faulty) || exit 1; \
		if $$folder/$$host/debug/faulty $${mistake%:*} 2>/dev/null; then \
			echo "the $$sanitizer sanitizer does not see a mistake that is there" >&2; exit 1; \
		fi; \
		$(CARGO) +nightly test $$options --lib $$tests || exit 1; \
	done

.PHONY: fuzz-seed
fuzz-seed: ## one seeded input again (BODY=session SEED=1)
	cd fuzz && $(CARGO) run --quiet --locked --no-default-features --target-dir ../target/fuzz --bin seed $(BODY) $(SEED)

COMPARE = $(BIN)/python benches/compare

.PHONY: bench
bench: environments core-fast ## everything that is measured, into docs/performance.md (QUICK=1: the comparisons, in under five minutes)
	$(CARGO) build --locked --profile dev-fast --no-default-features --example limit_server
ifdef QUICK
	$(COMPARE)/server_cpu.py --clients 1000 --rounds 2 --seconds 5
	$(COMPARE)/independence.py --rounds 1
	$(COMPARE)/latency.py --rounds 1
	$(COMPARE)/events.py --rounds 1
	$(COMPARE)/memory.py --rounds 1
	$(COMPARE)/capacity.py --rounds 1 --seconds 3 --trials 1
else
	$(COMPARE)/server_cpu.py
	$(COMPARE)/capacity.py
	$(COMPARE)/independence.py
	$(COMPARE)/latency.py
	$(COMPARE)/events.py
	$(COMPARE)/memory.py
	$(CARGO) bench --locked --no-default-features --bench state
	$(CARGO) bench --locked --no-default-features --bench endpoint
	$(BIN)/python benches/replication.py
	$(BIN)/python benches/ticks.py
	$(BIN)/python benches/imports.py
endif
	@$(MAKE) bench-codec

.PHONY: bench-codec
bench-codec: .venv/.bench-tools .venv-original/.installed core-release ## events and packages as bytes, beside msgspec by hand and PyGaSe 0.3.1
	$(BIN)/python benches/codec.py $(if $(QUICK),--rounds 3)

.PHONY: soak-joins
soak-joins: core-fast ## what ten minutes of 50 joins a second leave in the server's memory (SECONDS=600)
	$(COMPARE)/memory.py --rounds 1 --joins $(or $(SECONDS),600)

SPHINX = $(BIN)/python -m sphinx --nitpicky --fail-on-warning --keep-going --quiet --doctree-dir .cache/doctrees

.PHONY: docs
docs: .venv/.docs-tools core-test ## the documentation (docs/_build/html), with all examples and programs in it run
	$(SPHINX) -b html docs docs/_build/html
	$(SPHINX) -b doctest docs docs/_build/doctest
	$(PYTEST) tests/docs

.PHONY: linkcheck
linkcheck: .venv/.docs-tools core-test ## the external links of the documentation, listed (needs the internet, fails for none)
	-$(SPHINX) -b linkcheck docs docs/_build/linkcheck
	@cat docs/_build/linkcheck/output.txt

.PHONY: deny
deny: .cache/cargo/bin/cargo-deny ## licences, sources and duplicates of the crates this is built of (deny.toml)
	$< --all-features --locked check licenses bans sources
	$(PYTHON) scripts/third_party.py --check

.PHONY: third-party
third-party: ## the licences of the crates in the wheels, into THIRD-PARTY-LICENSES.txt
	$(PYTHON) scripts/third_party.py

.PHONY: clean
clean: ## remove everything that was built or installed
	rm -rf .venv .venv-original .cache dist target docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -f python/pygase/_core*.so python/pygase/_core*.pyd
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

## pieces

.PHONY: fmt
fmt: .venv/.dev-tools ## format Rust and Python
	$(CARGO) fmt
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only --quiet .

.PHONY: lint
lint: rustfmt clippy rustdoc ruff mypy pyright shim layers stubtest ## all checks that run no test

.PHONY: rustfmt
rustfmt: ## Rust formatting
	$(CARGO) fmt --check

.PHONY: clippy
clippy: .venv/.build-tools ## Rust lints, with Python, without, and with portable I/O
	$(CARGO) clippy --locked --quiet --all-targets -- -D warnings
	$(CARGO) clippy --locked --quiet --all-targets --no-default-features -- -D warnings
	$(CARGO) clippy --locked --quiet --all-targets --no-default-features --features portable-io -- -D warnings
	cd fuzz && $(CARGO) clippy --locked --quiet --all-targets --no-default-features --target-dir ../target/fuzz -- -D warnings

.PHONY: rustdoc
rustdoc: .venv/.build-tools ## the documentation of the crate for those who work on it, without a warning (target/doc/pygase)
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --quiet --no-deps --document-private-items

.PHONY: ruff
ruff: .venv/.dev-tools ## Python lints and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: mypy
mypy: .venv/.dev-tools ## types of the Python part, strictly
	$(BIN)/mypy

.PHONY: pyright
pyright: .venv/.dev-tools ## the same for editors that go by pyright
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

.PHONY: shim
shim: .venv/.build-tools ## the Python part opens no socket and packs no bytes
	$(BIN)/python scripts/check_shim.py

.PHONY: layers
layers: .venv/.build-tools ## the core's modules know only those below, and no sockets, threads or clocks but in net
	$(BIN)/python scripts/check_layers.py

.PHONY: stubtest
stubtest: .venv/.dev-tools core-test ## _core.pyi says what the built module has
	$(BIN)/python -m mypy.stubtest pygase._core --ignore-disjoint-bases $(if $(wildcard tests/stubtest-allowlist.txt),--allowlist tests/stubtest-allowlist.txt)

.PHONY: rust-test
rust-test: ## Rust tests and doctests, no Python involved
	$(CARGO) test --locked --no-default-features

.PHONY: rust-portable
rust-portable: ## the Rust tests with portable I/O
	$(CARGO) test --locked --no-default-features --features portable-io --lib --test net

.PHONY: rust-session
rust-session: ## a server and a client in Rust alone
	$(CARGO) run --locked --quiet --no-default-features --example rust_session

.PHONY: instructions
instructions: .venv/.build-tools ## the instructions a package pair costs, against those recorded (needs valgrind)
	$(BIN)/python scripts/instructions.py

.PHONY: fuzz-test
fuzz-test: ## fuzz bodies on their corpus, and on a million inputs a decoder and 20,000 scripts a machine
	cd fuzz && $(CARGO) test --locked --no-default-features --target-dir ../target/fuzz

.PHONY: py-test
py-test: py-unit py-compat ## Python tests: unit and compatibility

.PHONY: py-unit
py-unit: .venv/.dev-tools core-test ## Python unit tests
	$(PYTEST) $(SIDE_BY_SIDE) tests/unit

.PHONY: py-property
py-property: .venv/.dev-tools core-test ## Python property tests: game states under any updates
	$(PYTEST) tests/property

.PHONY: py-compat
py-compat: .venv/.dev-tools core-test ## the API of PyGaSe 0.3.1 and master
	$(PYTEST) tests/compat

.PHONY: py-compat-original
py-compat-original: .venv-original/.installed ## the same tests, with the released PyGaSe 0.3.1 as the oracle
	$(ORIGINAL) -m pytest -p no:cacheprovider tests/compat

.PHONY: interop
interop: .venv/.dev-tools .venv-original/.installed core-test ## live games with the released PyGaSe 0.3.1
	$(PYTEST) $(SIDE_BY_SIDE) tests/interop -m "not long"

.PHONY: interop-long
interop-long: .venv/.dev-tools .venv-original/.installed core-test ## a megabyte of state, live, with PyGaSe 0.3.1
	$(PYTEST) tests/interop -m long -s

.PHONY: py-portable
py-portable: NET_TESTS = $(patsubst %,tests/unit/test_%.py,admission drawing_board ducks examples gil hello lifecycle lanes lobby loops playing running)
py-portable: .venv/.dev-tools .venv-original/.installed .cache/portable/.built ## network, compat and interop tests with portable I/O
	PYTHONPATH=$(CURDIR)/$(PORTABLE) $(BIN)/python -c "import pygase._core as core; assert core.Inbox().fileno() is None"
	PYTHONPATH=$(CURDIR)/$(PORTABLE) $(PYTEST) $(SIDE_BY_SIDE) $(NET_TESTS)
	PYTHONPATH=$(CURDIR)/$(PORTABLE) $(PYTEST) tests/compat
	PYTHONPATH=$(CURDIR)/$(PORTABLE) $(PYTEST) $(SIDE_BY_SIDE) tests/interop/test_sessions.py tests/interop/test_wire.py -m "not long"

## environments and builds

.PHONY: environments
environments: .venv/.dev-tools .venv-original/.installed ## .venv with all tools, .venv-original with PyGaSe 0.3.1

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no Python 3.10 or newer found: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.build-tools: requirements-build.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements-build.txt
	@touch $@

.venv/.dev-tools: requirements-dev.txt requirements-test.txt requirements-build.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch .venv/.build-tools $@

.venv/.docs-tools: requirements-docs.txt .venv/.dev-tools
	$(BIN)/python -m pip install --quiet -r requirements-docs.txt
	@touch $@

.venv/.bench-tools: requirements-bench.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements-bench.txt
	@touch $@

.venv-original/.installed: requirements-original.txt
	$(PYTHON) -m venv .venv-original
	$(ORIGINAL) -m pip install --quiet -r requirements-original.txt
	@touch $@

.cache/cargo/bin/cargo-fuzz:
	$(CARGO) install --quiet --locked --version 0.13.2 --root .cache/cargo cargo-fuzz

.cache/cargo/bin/cargo-deny:
	$(CARGO) install --quiet --locked --version 0.19.0 --root .cache/cargo cargo-deny

# The extension lies in python/pygase, one at a time: `fast` for the demo, `test` (with debug assertions, and
# the dependencies shared with `cargo test`) for the tests, `release` as it is in the wheels. The stamp says
# which one is there.
.PHONY: core-fast core-test core-release
core-fast: .venv/.core-fast
core-test: .venv/.core-test
core-release: .venv/.core-release

ifeq ($(wildcard python/pygase/_core*.so python/pygase/_core*.pyd),)
.PHONY: .venv/.core-fast .venv/.core-test .venv/.core-release
endif

.venv/.core-fast: $(SOURCES) .venv/.build-tools
	@echo "compiling pygase._core (the first time it takes some minutes)"
	$(BIN)/maturin develop --quiet --locked --profile dev-fast
	@rm -f .venv/.core-*
	@touch $@

.venv/.core-test: $(SOURCES) .venv/.build-tools
	$(BIN)/maturin develop --quiet --locked
	@rm -f .venv/.core-*
	@touch $@

.venv/.core-release: $(SOURCES) .venv/.build-tools
	$(BIN)/maturin develop --quiet --locked --release
	@rm -f .venv/.core-*
	@touch $@

$(PORTABLE)/.built: $(SOURCES) $(wildcard python/pygase/*.py*) .venv/.build-tools
	@rm -rf $(PORTABLE) .cache/portable-wheel
	$(BIN)/maturin build --quiet --locked --profile dev --features portable-io \
		--interpreter $(BIN)/python --out .cache/portable-wheel
	$(BIN)/python -m pip install --quiet --no-deps --target $(PORTABLE) .cache/portable-wheel/*.whl
	@touch $@
