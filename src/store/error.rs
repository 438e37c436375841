//! What can go wrong with the database.

/// What comes of every query.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

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

/// What databases say where they cannot be asked now, or end a session: Diesel knows only some of it.
const AWAY: [&str; 7] = [
    "terminating connection",
    "closed the connection",
    "no connection to the server",
    "is shutting down",
    "is starting up",
    "in recovery mode",
    // SQLite, where another program writes for long.
    "database is locked",
];

impl StoreError {
    /// The server is away, or takes no writes: there may be another one in a moment.
    pub fn is_away(&self) -> bool {
        use diesel::result::{DatabaseErrorKind as Kind, Error};
        match self {
            Self::Connect(_) => true,
            Self::Query(Error::DatabaseError(kind, said)) => {
                matches!(kind, Kind::ClosedConnection | Kind::ReadOnlyTransaction)
                    || AWAY.iter().any(|words| said.message().contains(words))
            }
            Self::Query(Error::BrokenTransactionManager) => true,
            Self::Query(_) | Self::Schema(_) | Self::Data(_) => false,
        }
    }

    /// A constraint refused the write because such a row is already there.
    pub fn is_duplicate(&self) -> bool {
        use diesel::result::{DatabaseErrorKind, Error};
        matches!(
            self,
            Self::Query(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _))
        )
    }
}
