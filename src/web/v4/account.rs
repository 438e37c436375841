//! `/v4/profile`: whose token it is.

use actix_web::web::ServiceConfig;
use serde_json::json;

use super::answer::{Answer, one};
use super::caller::Reads;
use crate::web::method::get;

pub fn configure(surface: &mut ServiceConfig) {
    surface.route("/profile", get().to(profile));
}

async fn profile(caller: Reads) -> Answer {
    let user = &caller.user;
    one(json!({
        "username": user.email,
        "email": user.email,
        "uid": user.id,
        "restricted": false,
        "two_factor_auth": user.second_factor_at.is_some(),
        "timezone": user.timezone,
        "email_notifications": true,
        "authentication_type": "password",
    }))
}
