//! How handlers call the portal's use cases, which block, from where nothing may.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actix_web::web;
use tokio::sync::Semaphore;

use super::fault::{Fault, Result};
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
) -> Result<T> {
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
) -> Result<Result<T, Problems>> {
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
) -> Result<T> {
    run(portal, move |app| {
        app.db.read(query).map_err(AppError::from)
    })
    .await
}

/// One thing that a page is about.
pub async fn find<T: Send + 'static>(
    portal: &Portal,
    query: impl FnOnce(&mut Db) -> Result<Option<T>, StoreError> + Send + 'static,
) -> Result<T> {
    read(portal, query).await?.ok_or(Fault::NotFound)
}

/// Places for calls that hash passwords, and for requests that wait for one: as many as are done in some five seconds. The
/// hasher bounds itself too, but by making threads wait; here it is requests that wait, so that a flood of sign-ins leaves
/// the threads to the other pages.
static HASHING: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(4));
static WAITING: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(200));

/// As [`submit`], for a call that hashes a password.
///
/// # Errors
/// As [`submit`], and [`Fault::Busy`] when too many wait already, or no place came free in ten seconds.
pub async fn submit_hashing<T: Send + 'static>(
    portal: &Portal,
    call: impl FnOnce(&App) -> Result<T, AppError> + Send + 'static,
) -> Result<Result<T, Problems>> {
    let busy = |retry_after_s| Fault::Busy { retry_after_s };
    let waits = WAITING.try_acquire().map_err(|_| busy(5))?;
    let place = tokio::time::timeout(Duration::from_secs(10), HASHING.acquire()).await;
    let Ok(Ok(_place)) = place else {
        return Err(busy(10));
    };
    drop(waits);
    submit(portal, call).await
}

/// Calls that nobody waits for: so many are remembered, two at work.
static REMEMBERED: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(500)));
static LATER: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(2));

/// One call, after the answer: whoever asks learns nothing from the time that it takes. What a portal that stops has not
/// come to is not done.
///
/// # Errors
/// [`Fault::Busy`] when too many are remembered already.
pub fn later(
    portal: &Portal,
    call: impl FnOnce(&App) -> Result<(), AppError> + Send + 'static,
) -> Result<()> {
    let Ok(remembered) = Arc::clone(&REMEMBERED).try_acquire_owned() else {
        return Err(Fault::Busy { retry_after_s: 5 });
    };
    let portal = portal.clone();
    actix_web::rt::spawn(async move {
        let _remembered = remembered;
        let Ok(_turn) = LATER.acquire().await else {
            return;
        };
        if let Err(error) = run(&portal, call).await {
            tracing::error!(%error, "what was to be done after an answer failed");
        }
    });
    Ok(())
}
