# Each target is one script or command; scripts/test says what "everything" is. ARGS go to the script.
.PHONY: demo demo-uml test lab-uml lab-xen bench-mover bench-claim chaos screenshots fmt lint setup

demo: ; @scripts/demo $(ARGS)
demo-uml: ; @scripts/setup lab && scripts/lab-uml --demo $(ARGS)
test: ; @scripts/test
lab-uml: ; @scripts/setup lab && scripts/lab-uml $(ARGS)
lab-xen: ; @scripts/setup lab-xen && scripts/lab-xen $(ARGS)
bench-mover: ; @scripts/setup bench && scripts/bench-mover
bench-claim: ; @scripts/setup bench && cargo bench --quiet --locked --bench claim
chaos: ; @scripts/chaos $(ARGS)
screenshots: ; @scripts/setup browser && tests/browser/screenshots
fmt: ; cargo fmt
lint: ; cargo fmt --check && cargo clippy --locked --all-targets -- -D warnings
setup: ; scripts/setup
