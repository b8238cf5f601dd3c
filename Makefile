# Every target is one command of scripts/ or of the tools in .venv; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help demo here venv test test-full lint check unit contract molecule bench-download build lock clean dev
MAKEFLAGS += --no-print-directory

PYTEST = .venv/bin/python -m pytest
# What needs no lab runs on two cores at once (tests/conftest.py), and comes first.
PARALLEL = -n 2 --dist loadscope --no-loadscope-reorder
S ?= site

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  make %-14s %s\n", $$1, $$2 }'

demo: ## a lab box goes from bare to answering; nothing to configure
	@scripts/demo

here: ## this machine: the plan first, one question, then site.yml
	@scripts/here

venv: ## Ansible in .venv, to call ansible-playbook yourself
	@scripts/bootstrap controller

test: lint ## everything CI runs (static gates, unit tests, the lab)
	@$(PYTEST) $(PARALLEL) -m "not full"

test-full: lint ## `make test` and what takes long
	@$(PYTEST) $(PARALLEL) -m ""

check: lint unit ## what needs no lab: static gates and unit tests

lint: dev ## static gates, the fastest first
	@scripts/lint

unit: dev ## unit tests
	@$(PYTEST) $(PARALLEL)

contract: dev ## what we rely on in Ollama: make contract OLLAMA_URL=http://… (without it: the stand-in)
	@$(PYTEST) tests/contract

molecule: dev ## one scenario of molecule/: make molecule S=site
	@scripts/molecule $(S)

bench-download: dev ## gguf_file beside curl, aria2c and hf; SIZE=256M CASES=a,b for a short one
	@scripts/bench-download

build: dev ## the collection as a tarball, in build/
	@.venv/bin/ansible-galaxy collection build --force --output-path build

lock: ## renew requirements/*.txt from *.in (needs uv)
	@scripts/lock

clean: ## remove the lab, build/ and .venv; says how much disk that gives back
	@scripts/clean

dev:
	@scripts/bootstrap dev
