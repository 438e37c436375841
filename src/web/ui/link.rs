//! A link whose text names the thing.

use crate::domain::ids::MigrationId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub url: String,
    pub label: String,
}

impl Link {
    pub fn new(url: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            label: label.into(),
        }
    }

    /// To staff's page of a migration.
    pub fn migration(id: MigrationId) -> Self {
        Self::new(format!("/staff/migrations/{id}"), format!("Migration {id}"))
    }

    /// The same, with its Linode's label.
    pub fn migration_of(id: MigrationId, linode: &str) -> Self {
        Self {
            label: format!("Migration {id} of {linode}"),
            ..Self::migration(id)
        }
    }
}
