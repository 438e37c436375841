//! What is done to every request and answer, whatever the handler.

mod edge;
pub mod error_page;
mod headers;
mod origin;
mod refused;

pub use edge::edge;
pub use headers::FILES;

#[cfg(test)]
mod tests;
