//! How handlers call the portal's use cases, which block, from where nothing may.

use std::sync::LazyLock;
use std::time::Duration;

use actix_web::web;
use tokio::sync::Semaphore;

use super::fault::Fault;
use super::ui::Problems;
use crate::app::App;
use crate::app::error::AppError;
use crate::store::db::Db;
use crate::store::error::StoreError;

pub type Portal = web::Data<App>;

/// One call, on a thread where it may block.
pub async fn run<T: Send + 'static>(
    portal: &Portal,
    call: impl FnOnce(&App) -> Result<T, AppError> + Send + 'static,
) -> Result<T, Fault> {
    let portal = portal.clone();
    web::block(move || call(&portal))
        .await
        .map_err(Fault::internal)?
        .map_err(Fault::from)
}

/// A call whose complaint about a field belongs on the form again: the inner error.
pub async fn submit<T: Send + 'static>(
    portal: &Portal,
    call: impl FnOnce(&App) -> Result<T, AppError> + Send + 'static,
) -> Result<Result<T, Problems>, Fault> {
    let portal = portal.clone();
    match web::block(move || call(&portal))
        .await
        .map_err(Fault::internal)?
    {
        Ok(value) => Ok(Ok(value)),
        Err(AppError::Invalid { field, message }) => Ok(Err(Problems::one(field, message))),
        Err(other) => Err(other.into()),
    }
}

/// What a page shows, read from the database.
pub async fn read<T: Send + 'static>(
    portal: &Portal,
    query: impl FnOnce(&mut Db) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Fault> {
    run(portal, move |app| {
        app.db.read(query).map_err(AppError::from)
    })
    .await
}

/// One thing that a page is about.
pub async fn find<T: Send + 'static>(
    portal: &Portal,
    query: impl FnOnce(&mut Db) -> Result<Option<T>, StoreError> + Send + 'static,
) -> Result<T, Fault> {
    read(portal, query).await?.ok_or(Fault::NotFound)
}

/// Places for calls that hash passwords. The hasher bounds itself too, but by making threads wait; here it is requests
/// that wait, so that a flood of sign-ins leaves the threads to the other pages.
static HASHING: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(4));

/// As [`submit`], for a call that hashes a password.
///
/// # Errors
/// As [`submit`], and [`Fault::TooMany`] when no place came free in ten seconds.
pub async fn submit_hashing<T: Send + 'static>(
    portal: &Portal,
    call: impl FnOnce(&App) -> Result<T, AppError> + Send + 'static,
) -> Result<Result<T, Problems>, Fault> {
    let place = tokio::time::timeout(Duration::from_secs(10), HASHING.acquire()).await;
    let Ok(Ok(_place)) = place else {
        return Err(Fault::TooMany { retry_after_s: 10 });
    };
    submit(portal, call).await
}
