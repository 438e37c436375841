//! `/v4`: the portal for programs, in the conventions of the provider's public API, so that its clients work unchanged. A
//! bearer token, JSON, no cookies. `docs/API.md` is for those who write against it.

pub mod account;
pub mod answer;
pub mod asked;
pub mod beta;
pub mod caller;
pub mod catalogue;
pub mod linode;
pub mod migration;

use actix_web::web::{ServiceConfig, scope};

pub use answer::{bare, is_path};

/// Some clients ask for some paths under the second name.
pub fn configure(surface: &mut ServiceConfig) {
    for root in ["/v4", "/v4beta"] {
        surface.service(
            scope(root)
                .configure(account::configure)
                .configure(beta::configure)
                .configure(catalogue::configure)
                .configure(migration::configure)
                .configure(linode::configure),
        );
    }
}
