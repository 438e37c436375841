//! Accounts: what their users choose, what staff do with them, what somebody who was disabled had asked for, how they sign
//! in, and what a flood at the doors comes to.

mod access;
mod disabled;
mod doors;
mod floods;
mod late;
mod own;
mod passwords;
mod roles;
mod second_factor;
mod users;
