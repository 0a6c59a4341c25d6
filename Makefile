# SPDX-License-Identifier: Apache-2.0
# Short names for the usual work; CMakePresets.json has the rest.
.PHONY: help build test test-vm test-package test-image fuzz recall bench demo install package deps format lint clean

JOBS ?= $(shell nproc)
PREFIX ?= /usr/local

help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

deps: ## Installs what building and testing needs (Debian packages, as root)
	@scripts/install-deps.sh --test

build: ## Builds build/release/snoop
	@scripts/install-deps.sh
	cmake --preset release -DBUILD_TESTING=OFF -DSNOOP_DEBIAN=OFF -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	cmake --build --preset release -j $(JOBS)

test: deps ## Installs, builds with sanitizers, and runs every test that can run here but clang-tidy (make lint)
	cmake --preset dev
	cmake --build --preset dev -j $(JOBS)
	ctest --preset dev -LE tidy

# The table first; what was missed fails it after the comparison with strace is done.
recall: deps ## Builds, and prints what of over a hundred awkward cases the report has (as root)
	cmake --preset release -DBUILD_TESTING=ON
	cmake --build --preset release -j $(JOBS) --target snoop recall_programs
	@export SOURCE_DIR=$(CURDIR) SNOOP=$(CURDIR)/build/release/snoop && \
	  RECALL_PROGRAMS=$(CURDIR)/build/release/tests/recall /usr/bin/python3 -B tests/recall/run.py $(RECALL); \
	  cases=$$?; /usr/bin/python3 -B tests/recall/programs_test.py && exit $$cases

test-vm: ## Builds, and runs kernel tests and recall under Debian's kernels 6.1 and 6.12; VM='--kernel 6.1 ...'
	@scripts/install-deps.sh --test
	@scripts/install-deps.sh --vm
	cmake --preset release -DBUILD_TESTING=ON -DSNOOP_VM=ON
	cmake --build --preset release -j $(JOBS) --target vm_programs
	/usr/bin/python3 -B tests/vm/run.py $(VM)

SECONDS ?= 60
fuzz: deps ## Builds with clang, and gives all that snoop reads of others input that nobody thought of; SECONDS=3600
	cmake --preset fuzz
	cmake --build build/fuzz -j $(JOBS) --target fuzz
	tests/fuzz/run.sh build/fuzz $(SECONDS)

test-package: ## Builds the Debian package, and installs, uses and removes it in a minimal Debian (as root)
	@scripts/install-deps.sh --test
	@scripts/install-deps.sh --deploy
	cmake --preset release -DBUILD_TESTING=ON -DCMAKE_INSTALL_PREFIX=/usr -DSNOOP_DEBIAN=ON
	cmake --build --preset release -j $(JOBS) --target snoop snoop_metadata installed_files
	cd build/release && cpack -G DEB
	ctest --preset release -L package

test-image: ## Builds the image with podman, and traces another container with it (as root)
	@scripts/install-deps.sh --test
	@scripts/install-deps.sh --deploy
	cmake --preset release -DBUILD_TESTING=ON -DCMAKE_INSTALL_PREFIX=/usr -DSNOOP_DEBIAN=OFF -DSNOOP_IMAGE=ON
	cmake --build --preset release -j $(JOBS) --target snoop snoop_metadata installed_files
	ctest --preset release -L image --verbose

bench: ## Builds, and measures what snoop costs (as root); BENCH=--quick for less than a minute
	@scripts/install-deps.sh --bench
	cmake --preset release -DSNOOP_BENCH=ON
	cmake --build --preset release -j $(JOBS) --target bench
	/usr/bin/python3 -B bench/system.py --json build/release/bench.json $(BENCH)

demo: build ## Installs, builds, and shows what a small workload uses (as root)
	@scripts/demo.sh build/release/snoop

install: build ## Installs below PREFIX (/usr/local), DESTDIR honoured
	cmake --install build/release --prefix $(PREFIX)

package: ## Builds the Debian package, below build/release/package
	@scripts/install-deps.sh --package
	cmake --preset release -DBUILD_TESTING=OFF -DCMAKE_INSTALL_PREFIX=/usr -DSNOOP_DEBIAN=ON
	cmake --build --preset release -j $(JOBS)
	cd build/release && cpack -G DEB

format: ## Formats all sources
	git ls-files '*.h' '*.cc' '*.c' | xargs clang-format -i

lint: deps ## clang-format, clang-tidy, shellcheck
	cmake --preset dev
	cmake --build --preset dev -j $(JOBS)
	ctest --preset dev -L 'check|tidy'

clean: ## Removes what was built
	rm -rf build
