# Each target is one script or command; scripts/test says what "everything" is. ARGS go to the script.
.PHONY: demo demo-uml test model fuzz lab-uml lab-xen lab-images bench-mover bench-claim bench-time bench-doors bench-pages screenshots fmt lint setup sim lab-ha chaos races faults pictures release soak

demo: ; @scripts/demo $(ARGS)
demo-uml: ; @scripts/setup lab && scripts/lab-uml --demo $(ARGS)
test: ; @scripts/test
model: ; @cargo test --quiet --locked --profile model --no-default-features --features agent --test model -- --include-ignored --nocapture --test-threads=1
lab-uml: ; @scripts/setup lab && scripts/lab-uml $(ARGS)
lab-xen: ; @scripts/setup lab-xen && scripts/lab-xen $(ARGS)
lab-images: ; @scripts/setup lab-images && scripts/lab-images $(ARGS)
lab-ha: ; @scripts/setup lab-ha && scripts/lab-ha $(ARGS)
bench-mover: ; @scripts/setup bench && scripts/bench-mover
bench-claim: ; @scripts/setup bench && cargo bench --quiet --locked --bench claim
# MOVES=n, SEED=n. Simulated time: built as for tests.
bench-time: ; @cargo bench --quiet --locked --profile dev --bench time
bench-doors: ; @scripts/setup bench && cargo bench --quiet --locked --bench doors
bench-pages: ; @scripts/setup bench && cargo bench --quiet --locked --bench pages
# ARGS="TARGET SECONDS"; without a target it names them.
fuzz: ; @scripts/fuzz $(ARGS)
# SEEDS=n FROM=n for a range, SEED=n for one with its trace.
sim: ; @scripts/sim
chaos: ; @scripts/chaos $(ARGS)
soak: ; @scripts/soak $(ARGS)
# RACES=n for so many rounds.
races: ; @scripts/races
faults: ; @scripts/faults $(ARGS)
screenshots: ; @scripts/setup browser && tests/browser/screenshots
# Of the tables and of the house, from the code; `make test` says when they are stale.
pictures: ; @scripts/pictures
# What is installed: target/install.
release: ; @scripts/release
fmt: ; cargo fmt
lint: ; cargo fmt --check && cargo clippy --locked --all-targets -- -D warnings
setup: ; scripts/setup
