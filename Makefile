# make build   the release binary, as target/release/rbuild
# make demo    build it, build an image with it twice, run the image
# make test    everything that CI checks
# make bench   micro-benchmarks, and whole builds beside other builders
#
# On a fresh Debian machine: the packages that are missing are installed (as root, or with sudo).

CARGO ?= cargo
STATE ?= $(CURDIR)/target/make

.PHONY: build demo test bench packages toolchain

build: toolchain
	$(CARGO) build --locked --release --package rbuild
	mkdir -p target/release
	ln -f "$$(ls -t target/*-*/release/rbuild | head -n 1)" target/release/rbuild

demo: packages build
	.ci/demo target/release/rbuild "$(STATE)"

test: packages toolchain
	.ci/test "$(STATE)"

bench: packages build
	$(CARGO) bench --locked --workspace
	benches/compare/compare.py --rbuild target/release/rbuild --state "$(STATE)"

packages:
	.ci/packages $(or $(MAKECMDGOALS),build)

toolchain: packages
	.ci/toolchain
