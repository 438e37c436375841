//! `/staff/waves/{id}/{deed}`: start and stop are asked first, pause and going on are done at once.

use super::shared::PATH;
use crate::app::error::AppError;
use crate::app::wave::Deed;
use crate::domain::ids::WaveId;
use crate::domain::string_enum::StringEnum;
use crate::domain::wave::Stage;
use crate::store;
use crate::store::wave::list::Detail;
use crate::web::extract::{Asks, Form, Nothing, Path, Staff};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, ConfirmPage};
use crate::web::portal::Portal;
use crate::web::ui::units;

fn consequences(of: &Detail, deed: Deed) -> Vec<String> {
    let waiting = of.counts.of(|stage| stage == Stage::Waiting);
    let many = units::counted(waiting, "Linode waits", "Linodes wait");
    match (deed, &of.source) {
        (Deed::Stop, _) => vec![
            format!("{many} in it, and get nothing from it any more."),
            "Offers that were made stand, and moves that were queued or begun go on, by the limits that all others have.".to_owned(),
            "A wave that was stopped cannot be started again.".to_owned(),
        ],
        (_, Some(host)) => vec![
            format!("{many}. {host} takes no new Linodes from now on, and its Linodes are moved off it without a click."),
            format!("Why, for their members: {}", of.wave.reason),
            "Members of each account get one mail of what is moved together.".to_owned(),
        ],
        (_, None) => vec![
            format!("{many}. Each is offered a place, and its member moves it when they like."),
            "Members of each account get one mail of what is offered together.".to_owned(),
        ],
    }
}

/// `GET /staff/waves/{id}/{deed}`
pub async fn ask(asks: Asks<Staff>, of: Path<(i64, String)>) -> Response {
    let (id, word) = of.0;
    let deed = Deed::parse(&word).filter(|it| matches!(it, Deed::Start | Deed::Stop));
    let deed = deed.ok_or(Fault::NotFound)?;
    let (staff, of) = asks
        .read(move |conn, _| store::wave::list::detail(conn, WaveId(id))?.ok_or(AppError::NotFound))
        .await?;
    let url = format!("{PATH}/{id}");
    let button = match deed {
        Deed::Start => format!("Start {}", of.wave.name),
        Deed::Pause | Deed::Resume | Deed::Stop => format!("Stop {}", of.wave.name),
    };
    let page = staff
        .page(Area::Waves, button.clone())
        .crumb("Waves", PATH)
        .crumb(&of.wave.name, &url);
    ConfirmPage::new(page, button, format!("{url}/{deed}"))
        .says(consequences(&of, deed))
        .danger(deed == Deed::Stop)
        .back(url, "Back to the wave")
        .html()
}

/// `POST /staff/waves/{id}/{deed}`
pub async fn act(
    portal: Portal,
    staff: Staff,
    of: Path<(i64, String)>,
    _: Form<Nothing>,
) -> Response {
    let (id, word) = of.0;
    let deed = Deed::parse(&word).ok_or(Fault::NotFound)?;
    let url = format!("{PATH}/{id}");
    staff
        .act(&portal, move |app, actor| {
            app.do_with_wave(actor, WaveId(id), deed)
        })
        .await
        .map_err(|fault| fault.at(url.clone(), "Back to the wave"))?;
    let said = match deed {
        Deed::Start => "It runs. What it gives out is given in the background.",
        Deed::Pause => "It is paused: nothing more is given out, and no move of it begins.",
        Deed::Resume => "It goes on, and its gates count anew from now on.",
        Deed::Stop => "It is stopped.",
    };
    page::said(&url, said)
}
