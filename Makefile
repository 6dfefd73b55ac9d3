# make build   the release binary, as target/release/rbuild
# make demo    build it, build an image with it twice, run the image
# make test    everything that CI checks
# make self    build rbuild's own Dockerfile with rbuild, twice, and run what it made (as root: it needs a base image)
# make bench   micro-benchmarks, and whole builds beside other builders
# make fuzz    ten minutes of fuzzing for each of what reads strangers' text (needs nightly and cargo-fuzz; FUZZ_SECONDS=60 for less)
# make machine run tests on an emulated machine with Debian's own kernel and systemd (as root; slow; FILTER='test(/^networks/)' for others)
#
# On a fresh Debian machine: the packages that are missing are installed (as root, or with sudo).

CARGO ?= cargo
STATE ?= $(CURDIR)/target/make
FUZZ_SECONDS ?= 600
# What depends on the kernel: sandboxes, networks, control groups.
FILTER ?= package(rbuild-sys) + package(rbuild-sandbox) + test(/^(conditions|container_limits|container_sharing|container_users|networks)/)

.PHONY: build demo test self bench fuzz machine packages toolchain

build: toolchain
	$(CARGO) build --locked --release --package rbuild
	mkdir -p target/release
	ln -f "$$(ls -t target/*-*/release/rbuild | head -n 1)" target/release/rbuild

demo: packages build
	.ci/demo target/release/rbuild "$(STATE)"

test: packages toolchain
	.ci/test "$(STATE)"

self: packages build
	testdata/base-images/make-base-images.sh --out "$(STATE)/images" debian:bookworm
	testdata/dockerfiles/check.sh target/release/rbuild "$(STATE)/images" rbuild

bench: packages build
	$(CARGO) bench --locked --workspace
	benches/compare/compare.py --rbuild target/release/rbuild --state "$(STATE)"

fuzz:
	.ci/fuzz "$(STATE)" "$(FUZZ_SECONDS)"

machine: packages toolchain
	testdata/base-images/make-base-images.sh --out "$(STATE)/images"
	.ci/machine "$(STATE)" "$(FILTER)"

packages:
	.ci/packages $(or $(MAKECMDGOALS),build)

toolchain: packages
	.ci/toolchain
