# Each target is one script or command; scripts/test says what "everything" is.
.PHONY: demo demo-uml test lab-uml bench-mover bench-claim screenshots fmt lint setup

demo: ; cargo run --quiet --release --bin xenbeta -- demo
demo-uml: ; scripts/lab-uml --demo
test: ; scripts/test
lab-uml: ; scripts/lab-uml
bench-mover: ; scripts/bench-mover
bench-claim: ; scripts/bench-claim
screenshots: ; scripts/test-browser --screenshots
fmt: ; cargo fmt
lint: ; cargo fmt --check && cargo clippy --locked --all-targets -- -D warnings
setup: ; scripts/setup
