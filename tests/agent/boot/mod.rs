//! The provider's initramfs: how it is made, what its helpers do to the trees of guests, and real boots with it.

mod build;
mod golden;
mod hostile;
mod real;
mod tree;
