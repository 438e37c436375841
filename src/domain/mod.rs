//! What the product is, as pure values and functions: no I/O, no clock, no randomness. Everything above imports from here,
//! and nothing here imports from above.

pub mod ids;
pub mod text;
pub mod words;
