//! Who signs in, and with what: accounts, users, passwords, sessions, API tokens, choices of mail.

pub(in crate::app) mod bound;
pub mod caller;
pub(in crate::app) mod guesser;
pub mod mail_choices;
pub mod password;
pub mod password_reset;
pub mod profile;
pub mod second_factor;
pub mod sign_in;
pub mod staff;
pub mod tokens;
pub mod users;
