# The commands of CI for people; `just` lists them.

# List the recipes.
default:
    @just --list

# Everything CI runs.
ci:
    .ci/run

# Install what the tests need.
setup:
    ./test setup

# Check the formatting.
fmt:
    ./test fmt

# Lint, warnings are errors.
clippy:
    ./test clippy

# Build the documentation, warnings are errors.
doc:
    ./test doc

# Run all tests.
test:
    ./test test

# Run unit tests in an interpreter that finds undefined behaviour.
miri:
    ./test miri

# Try random modules nobody has tried yet, for hours; ctrl-c ends it.
fuzz:
    cargo run --release -p wfaas-differential -- --jobs 2

# Let random guests call all of preview1, for each kind of tree (SECONDS=600; SEED=n for one of them).
fuzz-preview1:
    cargo test --release -p wfaas-wasi --test surface -- --ignored --nocapture

# Let guests call the interfaces of components at random (SECONDS=600; SEED=n for one of them).
fuzz-components:
    cargo test --release -p wfaas-function --test component -- --ignored --nocapture

# Let libFuzzer lead a target of fuzz/ by coverage, with the toolchain that there is.
fuzz-led TARGET SECONDS="60":
    RUSTFLAGS="--cfg fuzzing -Cdebug-assertions -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares" \
        cargo run --manifest-path fuzz/Cargo.toml --release --target x86_64-unknown-linux-gnu --bin {{TARGET}} -- \
        -max_total_time={{SECONDS}}

# Count instructions and memory of the compiler for hostile modules of growing sizes.
growth:
    ./test growth

# Run suspended calls where valgrind looks at each access of the host; takes minutes.
valgrind:
    ./test valgrind

# Compile and run modules of real compilers; fetches them, and takes minutes.
real:
    ./test real

# Make components in JavaScript and Python with the languages' own tools, and serve them.
components:
    ./test components

# Check licences, sources and duplicate versions of the dependencies (needs cargo-deny).
deny:
    cargo deny check

# Measure the single steps, then the whole beside wasmtime.
bench:
    cargo bench -p wfaas-benches
    cargo run --release -p wfaas-benches -- start
    cargo run --release -p wfaas-benches -- calls
    cargo run --release -p wfaas-benches -- load
    cargo run --release -p wfaas-benches -- density
    cargo run --release -p wfaas-benches -- serve
    cargo run --release -p wfaas-benches -- exec

# Measure the bounds strategies beside other engines; writes the numbers and figures of docs/bounds.md.
bounds:
    cargo run --release -p wfaas-benches -- bounds --threads 1,2,4 --rounds 9 --instructions --write docs

# Reset ten million times after calls of all kinds; fails if memory, mappings or descriptors grow.
soak:
    cargo run --release -p wfaas-benches -- soak

# Send 1 GiB through a guest and look at the server's memory; takes a minute.
streams:
    cargo test --workspace --exclude wfaas-benches --test end_to_end -- --ignored --nocapture gibibyte

# Attack a server with a thousand connections of each kind (ONLY=name for some); takes minutes.
attack:
    cargo build --release -p faascli
    FAASCLI="$PWD/target/release/faascli" cargo test -p wfaas-gateway --test attack -- --ignored --nocapture

# Keep a server busy with guests of each kind, and measure what is left for others; takes two minutes.
shares:
    cargo build --release -p faascli
    FAASCLI="$PWD/target/release/faascli" cargo test -p wfaas-gateway --test shares -- --ignored --nocapture --test-threads 1
