# Thin: every target is one or two commands that can be typed by hand.
PRESET ?= release
BUILD  := $(if $(filter release,$(PRESET)),build,build-$(PRESET))
CMAKE  := .venv/bin/cmake
CTEST  := .venv/bin/ctest

.PHONY: all setup configure build test demo bench install docs clean

all: build

setup:
	@scripts/setup.sh

configure: setup
	@test -f $(BUILD)/build.ninja || $(CMAKE) --preset $(PRESET)

build: configure
	$(CMAKE) --build $(BUILD)

test: build
	$(CTEST) --test-dir $(BUILD) --output-on-failure

demo: build
	@scripts/demo.sh $(BUILD)

bench: build
	@bench/run.sh $(BUILD)

install: build
	$(CMAKE) --install $(BUILD) $(if $(PREFIX),--prefix $(PREFIX))

docs: build
	$(CMAKE) --build $(BUILD) --target itera-doc

clean:
	rm -rf $(BUILD)
