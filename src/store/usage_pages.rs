//! Series of usage for pages.
