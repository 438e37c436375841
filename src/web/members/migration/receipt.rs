//! `/members/migrations/{id}/receipt`: what is signed of a finished move, on one page, and the file.

use askama::Template;

use super::shared::url_of;
use crate::domain::ids::MigrationId;
use crate::web::extract::{Member, Path};
use crate::web::fault::Response;
use crate::web::migration::receipt::{self, ReceiptView};
use crate::web::page::{self, Area, Page};

#[derive(Debug, Template)]
#[template(path = "members/migration/receipt.html")]
pub struct ReceiptPage {
    pub page: Page,
    pub receipt: ReceiptView,
}

/// `GET /members/migrations/{id}/receipt`
pub async fn show(member: Member, id: Path<i64>) -> Response {
    let body = receipt::read(&member.portal, Some(member.account), id.0).await?;
    let of = url_of(MigrationId(id.0));
    let receipt = receipt::view(&body, &format!("{of}/receipt"))?;
    let page = member
        .page(
            Area::Linodes,
            format!("Receipt of the move of {}", receipt.label),
        )
        .crumb("Linodes", "/members/")
        .crumb(format!("Migration of {}", receipt.label), of);
    page::html(&ReceiptPage { page, receipt })
}

/// `GET /members/migrations/{id}/receipt.json`
pub async fn file(member: Member, id: Path<i64>) -> Response {
    let body = receipt::read(&member.portal, Some(member.account), id.0).await?;
    receipt::file(body, id.0)
}
