//! Who one is here: sign-in, profile, password, API tokens, choices of mail.

pub mod code;
mod enter;
pub mod mail_choices;
pub mod second_factor;
pub mod shared;
pub mod show;
pub mod sign_in;
pub mod tokens;
