//! `/staff/migrations/{id}/receipt`: as its member has it.

use askama::Template;

use super::shared::PATH;
use crate::web::extract::{Path, Staff};
use crate::web::fault::Response;
use crate::web::migration::receipt::{self, ReceiptView};
use crate::web::page::{self, Area, Page};

#[derive(Debug, Template)]
#[template(path = "staff/migration/receipt.html")]
pub struct StaffReceiptPage {
    pub page: Page,
    pub receipt: ReceiptView,
}

/// `GET /staff/migrations/{id}/receipt`
pub async fn show(staff: Staff, id: Path<i64>) -> Response {
    let body = receipt::read(&staff.portal, None, id.0).await?;
    let of = format!("{PATH}/{}", id.0);
    let receipt = receipt::view(&body, &format!("{of}/receipt"))?;
    let page = staff
        .page(
            Area::Migrations,
            format!("Receipt of the move of {}", receipt.label),
        )
        .crumb("Migrations", PATH)
        .crumb(format!("Migration {}", id.0), of);
    page::html(&StaffReceiptPage { page, receipt })
}

/// `GET /staff/migrations/{id}/receipt.json`
pub async fn file(staff: Staff, id: Path<i64>) -> Response {
    let body = receipt::read(&staff.portal, None, id.0).await?;
    receipt::file(body, id.0)
}
