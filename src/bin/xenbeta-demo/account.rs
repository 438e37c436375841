//! The people of the demo that one signs in as.

use serde::Serialize;
use xenbeta::app::App;

pub const MEMBER: &str = "member@example.com";
pub const OTHER: &str = "other@example.com";
pub const STAFF: &str = "staff@example.com";

/// What `demo.json` says of someone.
#[derive(Debug, Clone, Serialize)]
pub struct Account {
    pub email: &'static str,
    pub password: String,
    pub token: String,
}

impl Account {
    /// Password and token come from the folder's secret: random, and the same every time.
    pub fn new(app: &App, email: &'static str) -> Self {
        let secret = |purpose: &str| app.secret.derive(purpose, &[email]);
        Self {
            email,
            password: secret("demo password").chars().take(16).collect(),
            token: secret("demo api token"),
        }
    }
}

/// The three of them.
pub struct Accounts {
    pub member: Account,
    pub other: Account,
    pub staff: Account,
}

impl Accounts {
    pub fn new(app: &App) -> Self {
        Self {
            member: Account::new(app, MEMBER),
            other: Account::new(app, OTHER),
            staff: Account::new(app, STAFF),
        }
    }

    pub fn all(&self) -> [&Account; 3] {
        [&self.member, &self.other, &self.staff]
    }
}
