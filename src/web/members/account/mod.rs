//! Who one is here: sign-in, profile, password, API tokens, choices of mail.

pub mod mail_choices;
pub mod shared;
pub mod show;
pub mod sign_in;
pub mod tokens;
