//! Members' pages. Everything is looked up within the signed-in member's account: somebody else's object is not found.

pub mod account;
pub mod bug;
pub mod fairness;
pub mod faq;
pub mod linode;
pub mod migration;
pub mod registration;

use crate::domain::migration::{BEFORE_THE_STOP, MigrationKind, MigrationState};
use crate::store::linode::page::Moved;
use crate::web::ui::{Link, Tag, Tone, Zone};

/// How a migration stands, for a list: by when its Linode stops, if its member chose that.
pub fn migration_tag(migration: Moved, zone: Zone) -> Tag {
    match migration.not_before {
        Some(at) if BEFORE_THE_STOP.contains(&migration.state) => {
            Tag::new(format!("Stops {}", zone.text(at)), Tone::Info)
        }
        _ => Tag::moved(migration.kind, migration.state),
    }
}

/// Where a Linode's newest migration is looked at, and by what words: the migrate page while the member has to choose,
/// the migration's own page afterwards.
pub fn migration_link(migration: Moved, label: &str) -> Option<Link> {
    let own = |words: &str| {
        Some(Link::new(
            format!("/members/migrations/{}", migration.id),
            format!("{words} {label}"),
        ))
    };
    match migration.state {
        MigrationState::Offered => Some(Link::new(
            format!("/members/linodes/{}/migrate", migration.linode_id),
            format!("Migrate {label}"),
        )),
        MigrationState::Queued => own("Migration queued:"),
        MigrationState::Preparing
        | MigrationState::Copying
        | MigrationState::Holding
        | MigrationState::Switching => own(if migration.kind == MigrationKind::Return {
            "Watch the way back of"
        } else {
            "Watch the migration of"
        }),
        MigrationState::Finished if migration.kind == MigrationKind::Return => {
            own("See the way back of")
        }
        MigrationState::Finished => own("Check and confirm"),
        MigrationState::Returning => own("Watch the way back of"),
        MigrationState::Failed if migration.kind == MigrationKind::Return => {
            own("Way back failed:")
        }
        MigrationState::Failed => own("Migration failed:"),
        MigrationState::Confirmed
        | MigrationState::Returned
        | MigrationState::Expired
        | MigrationState::Cancelled => None,
    }
}
