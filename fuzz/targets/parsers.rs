//! The target that `XENBETA_FUZZ` names, under libFuzzer.
#![no_main]

use std::env;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use xenbeta::fuzz::{Target, targets};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = env::var("XENBETA_FUZZ").unwrap_or_default();
    let found = targets().into_iter().find(|target| target.name == name);
    found.unwrap_or_else(|| {
        let names: Vec<&str> = targets().iter().map(|target| target.name).collect();
        panic!("XENBETA_FUZZ is {name:?}, none of {}", names.join(" "))
    })
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
