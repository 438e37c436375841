//! Linodes, whoever's they are: the list, and everything about one.

pub mod list;
pub mod show;

use crate::domain::ids::LinodeId;
use crate::web::ui::Link;

pub(in crate::web::staff) const PATH: &str = "/staff/linodes";

/// To staff's page of a Linode, by its label.
pub(in crate::web::staff) fn link(id: LinodeId, label: &str) -> Link {
    Link::new(format!("{PATH}/{id}"), label)
}
