//! How fairly hosts divide their CPU, and the weights.

pub mod host;
pub mod list;
pub mod weights;
pub mod weights_form;
