# Recipes for people who work on flunq. `just` lists them; CI calls the same ones.
set positional-arguments
python := env("FLUNQ_PYTHON", ".venv/bin/python")

# List the recipes
default:
    @just --list --unsorted

# Make .venv with everything that development needs
setup:
    python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]'

# Format the code
fmt:
    {{python}} -m ruff format .
    {{python}} -m ruff check --fix .

# Check format, lint rules and sizes
lint:
    {{python}} -m ruff format --check .
    {{python}} -m ruff check .
    {{python}} scripts/size_guard.py

# Check types, twice
types:
    {{python}} -m mypy
    {{python}} -m pyright --pythonpath {{python}}

# Check who imports whom
imports:
    {{python}} -c 'from importlinter.cli import lint_imports_command as run; run()'

# Run the tests (just test -k name)
test *options:
    {{python}} -m pytest -n 2 --dist loadfile -q "$@"

# Look for new counterexamples: the property tests with 5,000 examples that nobody has seen
fuzz *options:
    HYPOTHESIS_PROFILE=night {{python}} -m pytest -q --timeout 3600 -n 2 --dist loadfile \
        $(grep -rl --include='test_*.py' 'from hypothesis import' tests) "$@"

# Run the unit tests
unit *options:
    {{python}} -m pytest tests/unit -q "$@"

# Run one suite over every backend of the ports
contract *options:
    {{python}} -m pytest tests/contract -q "$@"

# Run the tests with a real nats-server and real processes
integration *options:
    {{python}} -m pytest tests/integration -q "$@"

# Run the command line as a user types it
e2e *options:
    {{python}} -m pytest tests/e2e -q "$@"

# Run the simulation (just sim --seed 42)
sim *options:
    {{python}} -m pytest tests/simulation -q "$@"

# Write the files that are made from code
generate *options:
    {{python}} scripts/generate.py "$@"

# Print how long each start takes
cold-start:
    {{python}} scripts/cold_start.py

# Make clusters fail at full size and check every promise (just chaos 3 runs three seeds)
chaos seeds="10" size="full":
    {{python}} scripts/chaos.py {{seeds}} {{size}}

# Measure this machine
bench *options:
    {{python}} -m flunq bench "$@"

# Build sdist and wheel into dist/
wheel:
    {{python}} -m hatchling build

# Start a local cluster from this checkout
up *options:
    {{python}} -m flunq up "$@"

# Everything that a change must pass
check: lint types imports test
    {{python}} scripts/generate.py --check
