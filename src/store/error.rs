//! What can go wrong with the database.

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("database: {0}")]
    Query(#[from] diesel::result::Error),
    #[error("no database connection: {0}")]
    Connect(String),
    #[error("{0}")]
    Schema(String),
    /// A row says something the program does not understand.
    #[error("bad data in the database: {0}")]
    Data(String),
}

impl StoreError {
    /// A constraint refused the write because such a row is already there.
    pub fn is_duplicate(&self) -> bool {
        use diesel::result::{DatabaseErrorKind, Error};
        matches!(
            self,
            Self::Query(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _))
        )
    }
}
