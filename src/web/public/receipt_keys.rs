//! `/receipt-keys.json`: by what receipts are checked, for anyone. docs/RECEIPTS.md describes it.

use actix_web::HttpResponse;
use actix_web::http::header;

use crate::app::App;
use crate::web::fault::{Fault, Response};
use crate::web::portal::{self, Portal};

/// `GET /receipt-keys.json`
pub async fn list(portal: Portal) -> Response {
    let keys = portal::run(&portal, App::receipt_keys).await?;
    let body = serde_json::to_string_pretty(&keys).map_err(Fault::internal)? + "\n";
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        // A new key is there before the first receipt that it signs is looked at.
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .body(body))
}
