//! What every page of migrations needs.

pub(in crate::web::staff) const PATH: &str = "/staff/migrations";
