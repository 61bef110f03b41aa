# Each target installs what it needs (apt, rustup, pip) and tells you what it installs.
#
#   make demo                plays a synthetic kitchen to the daemon and prints the events
#   make demo SOURCE=mic     the same daemon on the default microphone
#   make test                lints and tests everything, as CI does; fetches 3 GB of PyTorch
#   make bench               latency of each stage and of the whole chain, and the network beside
#                            what arithmetic alone would take
#   make bench-allocations   what each stage takes from the heap, and what a further stream keeps
#   make bench-instructions  instructions of each stage beside the committed ones, the same on a
#                            busy machine; WRITE=1 commits them
#   make bench-arm           the same on emulated ARM processors; TARGET=aarch64 or armv7 for one
#   make bench-streams       processor time and memory of the daemon for 1, 8 and 32 microphones
#   make bench-page          the same without the page, with it, and with 1 and 20 viewers
#   make bench-latency       from the sound at a simulated microphone to the line on standard output
#   make bench-training      training throughput compared with plain PyTorch, and of features;
#                            BENCH_FLAGS="--width 64 --batch 128", --help for more
#   make bench-peers         the streaming network compared with other engines;
#                            BENCH_FLAGS="--quick", --help for more
#   make bench-front-ends    the front end compared with those of other libraries
#   make ced                 fetches CED-tiny, a network that the trainer learns from (7 MB,
#                            Apache-2.0)
#   make axe                 fetches axe-core, by which the tests check that the page is accessible
#                            (npm, 0.5 MB, MPL-2.0)
#   make home-large          puts models/home-large together from CED-tiny and a head: for a mini PC
#                            or a Jetson
#   make trainer             builds the trainer, target/release/earwitness-train
#   make soak                gives the daemon and its broker a day of sound with faults of all
#                            kinds; HOURS=24
#   make deb                 the Debian package, for this machine or with ARCH=arm64 or armhf
#   make test-deb            installs the package into a small Debian and uses it there; needs root
#   make test-vm             installs the package into a virtual machine with systemd and USB
#                            microphones that fail; needs root
#   make cross               the daemon for aarch64, armv7 and arm (ARMv6), each run under qemu;
#                            TARGET=aarch64 for one of them
#   make fuzz                a million damaged files for each reader; RUNS=1000000
#   make book                the pages of docs/ as an HTML book, target/book
#   make release             packages, tarballs, bills of materials and notes of a release;
#                            RELEASE_FLAGS=--dry-run
#   make ablation            the effect of each ingredient of home-clips.toml, in a shorter form;
#                            needs the data sets in data/ or EARWITNESS_DATA

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/earwitness
VENV ?= $(CACHE)/venv
PEERS_VENV ?= $(CACHE)/venv-peers
FRONT_ENDS_VENV ?= $(CACHE)/venv-front-ends
REFERENCE_VENV ?= $(CACHE)/venv-reference
BUILD := $(or $(CARGO_TARGET_DIR),target)
MODEL ?= models/home
SOURCE ?= file:$(BUILD)/demo/scene.wav
SEED ?= 1
HOURS ?= 24
# Highest exposure of the service that systemd-analyze may find, in tenths.
MAX_EXPOSURE := 20

# A Rust that this run installs is found, too.
export PATH := $(PATH):$(HOME)/.cargo/bin
# One optimised build serves the demo, the tests, the lints and the benches.
WITH_TORCH := env LIBTORCH_USE_PYTORCH=1 PATH="$(VENV)/bin:$(PATH)"
# A target folder of its own: the tests look for it there.
FIRMWARE := env CARGO_TARGET_DIR="$(abspath $(BUILD))/firmware"

# The trainer looks for CED-tiny there, too.
export EARWITNESS_CED ?= $(CACHE)/ced-tiny.onnx

# The test of the page checks accessibility by it.
export EARWITNESS_AXE ?= $(CACHE)/axe.min.js

# The test of sound servers hears PipeWire through it.
export EARWITNESS_PIPEWIRE_ALSA ?= $(CACHE)/libasound_module_pcm_pipewire.so

.PHONY: ablation axe book ced demo home-large pipewire-alsa test lint tests soak fuzz test-firmware test-cross cross deb test-deb test-vm trainer bench bench-allocations bench-instructions bench-arm bench-streams bench-page bench-latency bench-training bench-peers bench-front-ends reference release system-demo system-test torch

demo: system-demo
	@echo "== building the daemon (the first time takes some minutes: the inference engine is large)" >&2
	cargo build --release -p edge -p sounds
	@mkdir -p $(BUILD)/demo
	$(BUILD)/release/make-scene --seed $(SEED) --out $(BUILD)/demo/scene.wav --truth $(BUILD)/demo/scene.csv
	@echo "== earwitness run: two JSON objects per event; what the scene contains: $(BUILD)/demo/scene.csv" >&2
	$(BUILD)/release/earwitness run --model $(MODEL) --source $(SOURCE) $(RUN_FLAGS)

test: lint book tests test-firmware test-cross

lint: system-test torch
	@echo "== formatting and lints" >&2
	cargo fmt --check
	scripts/check-comments.py
	$(WITH_TORCH) cargo clippy --release --workspace --all-targets -- -D warnings
	@echo "== the script that fetches recordings, on a package made here" >&2
	scripts/test-get-sounds.sh
	@echo "== the script that makes a release, without the long builds" >&2
	scripts/test-release.sh
	@echo "== the service has no more rights than it needs" >&2
	systemd-analyze security --offline=true --threshold=$(MAX_EXPOSURE) --no-pager packaging/systemd/earwitness.service >/dev/null

# The end-to-end tests use the daemon that was built here.
tests: system-test torch reference ced axe pipewire-alsa
	@echo "== building and testing everything" >&2
	$(WITH_TORCH) cargo build --release --workspace
	$(WITH_TORCH) EARWITNESS_BIN="$(abspath $(BUILD))/release/earwitness" \
		EARWITNESS_REFERENCE_PYTHON="$(REFERENCE_VENV)/bin/python" cargo test --release --workspace
	@echo "== no stage executes 3 % more or fewer instructions than benches/instructions.toml says" >&2
	$(BUILD)/release/instructions --check

# The larger limit is for the features' tables and transform.
test-firmware: system-test
	@echo "== the firmware bridge builds without std for Cortex-M4, Cortex-M0+ and RISC-V" >&2
	for target in thumbv7em-none-eabihf thumbv6m-none-eabi riscv32imc-unknown-none-elf; do \
		cargo build --release -p firmware-bridge --features async,defmt --target $$target; \
	done
	@echo "== firmware: formatting, lints, size; tests/bridge.rs runs it" >&2
	cd firmware-bridge/firmware && cargo fmt --check
	cd firmware-bridge/firmware/mps2-an386 && $(FIRMWARE) cargo clippy --release --all-targets -- -D warnings
	cd firmware-bridge/firmware/mps2-an386 && $(FIRMWARE) cargo build --release --no-default-features --bin node
	scripts/firmware-size.sh $(BUILD)/firmware/thumbv7em-none-eabihf/release/node 32768
	cd firmware-bridge/firmware/mps2-an386 && $(FIRMWARE) cargo build --release
	scripts/firmware-size.sh $(BUILD)/firmware/thumbv7em-none-eabihf/release/node 40960
	cd firmware-bridge/firmware/pico && $(FIRMWARE) cargo clippy --release -- -D warnings
	cd firmware-bridge/firmware/pico && $(FIRMWARE) cargo build --release
	scripts/firmware-size.sh $(BUILD)/firmware/thumbv6m-none-eabi/release/pico 32768

# The processor that most boards have.
test-cross:
	@scripts/cross.sh aarch64

cross:
	@for target in $(or $(TARGET),aarch64 armv7 arm); do CACHE="$(CACHE)" scripts/cross.sh $$target; done

deb:
	@CACHE="$(CACHE)" scripts/deb.sh $(ARCH)

# Links of the notes lead to REPOSITORY=https://HOST/OWNER/NAME if that is given.
release:
	@CACHE="$(CACHE)" REPOSITORY="$(REPOSITORY)" scripts/release.sh $(RELEASE_FLAGS)

test-deb:
	@CACHE="$(CACHE)" scripts/test-deb.sh

test-vm:
	@CACHE="$(CACHE)" scripts/test-vm.sh

trainer: system-test torch ced
	$(WITH_TORCH) cargo build --release -p trainer

# Built together with the daemon, so that the inference engine is compiled once.
home-large: system-demo ced
	cargo build --release -p edge -p sounds -p assemble
	$(BUILD)/release/assemble-model models/home-large
	@echo "== earwitness run --model models/home-large" >&2

ablation: trainer
	EARWITNESS_TRAIN="$(abspath $(BUILD))/release/earwitness-train" scripts/ablation.sh $(OUT)

# A day of sound and faults for the daemon, in minutes.
soak: system-test
	cargo build --release -p edge -p tests
	EARWITNESS_BIN="$(abspath $(BUILD))/release/earwitness" $(BUILD)/release/soak $(HOURS) $(SEED)

# Damaged files for every reader.
fuzz:
	@CACHE="$(CACHE)" RUNS=$(or $(RUNS),1000000) scripts/fuzz.sh

# Links that leave docs/ lead to the files of this clone, or with
# REPOSITORY=https://HOST/OWNER/NAME/blob/main to the forge.
book: system-demo
	@scripts/book.sh $(BUILD)/book "$(REPOSITORY)"

# Built together with the daemon, so that the inference engine is compiled once.
bench: system-demo
	cargo bench -p benches
	cargo build --release -p edge -p benches
	$(BUILD)/release/limit

# Repeatable, however busy the machine is. WRITE=1 writes benches/instructions.toml.
bench-instructions: system-test
	cargo build --release -p edge -p benches
	$(BUILD)/release/instructions $(if $(WRITE),--write,)

bench-allocations: system-demo
	cargo build --release -p edge -p benches
	$(BUILD)/release/allocations

bench-arm:
	@for target in $(or $(TARGET),aarch64 armv7); do scripts/bench-arm.sh $$target; done

bench-streams: system-demo
	cargo build --release -p edge -p benches
	$(BUILD)/release/streams

bench-page: system-demo
	cargo build --release -p edge -p benches
	$(BUILD)/release/viewers

bench-latency: system-demo
	cargo build --release -p edge -p benches
	$(BUILD)/release/latency

bench-training: system-test torch
	$(WITH_TORCH) cargo bench -p trainer --bench throughput -- $(BENCH_FLAGS)

# Like the end-to-end tests, it uses the daemon of EARWITNESS_BIN if that is set.
bench-peers: system-test
	@scripts/install-venv.sh $(PEERS_VENV) benches/peers/requirements.txt "the engines to compare with (about 300 MB)"
	$(if $(EARWITNESS_BIN),,cargo build --release -p edge)
	EARWITNESS_BIN="$(or $(EARWITNESS_BIN),$(abspath $(BUILD))/release/earwitness)" \
		$(PEERS_VENV)/bin/python benches/peers/bench.py --model $(MODEL) $(BENCH_FLAGS)

# torchaudio comes without PyTorch, which the trainer's environment has.
bench-front-ends: torch
	@scripts/install-venv.sh $(FRONT_ENDS_VENV) benches/peers/requirements-front-ends.txt "the front ends to compare with (about 400 MB)"
	@$(FRONT_ENDS_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps torchaudio==2.11.0
	cargo build --release -p edge -p benches
	PYTHONPATH="$$(echo $(VENV)/lib/python3.*/site-packages)" $(FRONT_ENDS_VENV)/bin/python benches/peers/front_ends.py \
		--front-end "$(BUILD)/release/front_end" $(BENCH_FLAGS)

system-demo:
	@scripts/install-system.sh demo

system-test:
	@scripts/install-system.sh test

torch: system-test
	@scripts/install-venv.sh $(VENV) scripts/requirements.txt "PyTorch (about 3 GB to download, once)"

reference: system-test
	@scripts/install-venv.sh $(REFERENCE_VENV) tests/reference/requirements.txt "what the evaluation is compared with (about 750 MB on disk)"

axe: system-test
	@scripts/get-axe.sh $(CACHE)

pipewire-alsa: system-test
	@scripts/get-pipewire-alsa.sh $(CACHE)

# CED-tiny, 7 MB, which the trainer learns from.
ced: system-test
	@scripts/get-ced.sh $(CACHE)
