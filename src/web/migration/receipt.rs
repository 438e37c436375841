//! The receipt of a move: as it prints, and as the file that was signed.

use actix_web::HttpResponse;
use actix_web::http::header;

use crate::domain::ids::{AccountId, MigrationId};
use crate::domain::receipt::{Place, Receipt, file_name, sealed};
use crate::domain::time::Time;
use crate::web::fault::{Fault, Response, Result};
use crate::web::portal::{self, Portal};
use crate::web::ui::names::{kind_name, platform_name};
use crate::web::ui::{Tag, Tone, When, Zone, units};

/// What is printed: everything that is signed, in words.
#[derive(Debug)]
pub struct ReceiptView {
    pub migration: i64,
    pub label: String,
    pub facts: Vec<(&'static str, String)>,
    pub times: Vec<(&'static str, When)>,
    pub chunk: String,
    pub disks: Vec<DiskRow>,
    pub profiles: Vec<ProfileRow>,
    pub key: String,
    pub signature: String,
    /// Where the signed file is.
    pub file: String,
}

#[derive(Debug)]
pub struct DiskRow {
    pub name: String,
    pub size: String,
    /// Both hosts'; both of them, were they to differ.
    pub roots: Vec<String>,
    pub verdict: Tag,
}

/// A config profile, before and after.
#[derive(Debug)]
pub struct ProfileRow {
    pub name: String,
    pub before: String,
    pub after: String,
}

/// `page`: the address of the receipt's page.
pub fn view(body: &str, page: &str) -> Result<ReceiptView> {
    let sealed = sealed::open(body.as_bytes()).map_err(Fault::internal)?;
    let receipt = &sealed.receipt;
    Ok(ReceiptView {
        migration: receipt.migration.0,
        label: receipt.linode.label.clone(),
        facts: facts(receipt),
        times: times(receipt),
        chunk: units::bytes(receipt.digests.chunk_bytes),
        disks: disks(receipt),
        profiles: profiles(receipt),
        key: sealed.key.to_owned(),
        signature: sealed.signature.to_owned(),
        file: format!("{page}.json"),
    })
}

fn facts(receipt: &Receipt) -> Vec<(&'static str, String)> {
    let place = |of: &Place| format!("{} ({})", of.host, platform_name(of.platform));
    let version = |of: &Option<String>| of.clone().unwrap_or_else(|| "not known".to_owned());
    let seconds = |count: i64| match count {
        0 => "less than 1 s".to_owned(),
        count => format!("{count} s"),
    };
    let downtime = match receipt.downtime.measured_s.map(seconds) {
        Some(seconds) if receipt.times.started.is_some() => {
            format!("{seconds}, from the order to stop until it was started again")
        }
        Some(seconds) => {
            format!("At most {seconds}, from the order to stop until it was seen running")
        }
        None => "None: it was off".to_owned(),
    };
    let mut facts = vec![
        (
            "Linode",
            format!("{}, number {}", receipt.linode.label, receipt.linode.id),
        ),
        (
            "Account",
            format!("{}, number {}", receipt.account.name, receipt.account.id),
        ),
        (
            "Move",
            format!(
                "{}, from {} to {}",
                kind_name(receipt.kind),
                place(&receipt.from),
                place(&receipt.to)
            ),
        ),
        ("Downtime", downtime),
    ];
    if let Some(foretold) = foretold(receipt) {
        facts.push(("Foretold", foretold));
    }
    let addresses: Vec<String> = (receipt.addresses.iter())
        .map(|it| format!("{}/{}", it.address, it.prefix))
        .collect();
    facts.push(("Addresses, the same before and after", addresses.join(", ")));
    let versions = &receipt.versions;
    facts.push((
        "Versions",
        format!(
            "portal {}, agent of {} {}, agent of {} {}",
            versions.portal,
            receipt.from.host,
            version(&versions.source_agent),
            receipt.to.host,
            version(&versions.destination_agent)
        ),
    ));
    facts
}

fn foretold(receipt: &Receipt) -> Option<String> {
    let downtime = &receipt.downtime;
    match (downtime.foretold_s, downtime.foretold_most_s) {
        (Some(told), Some(most)) => Some(format!("about {told} s, {most} s at most")),
        (Some(seconds), None) | (None, Some(seconds)) => Some(format!("{seconds} s")),
        (None, None) => None,
    }
}

fn times(receipt: &Receipt) -> Vec<(&'static str, When)> {
    let times = &receipt.times;
    let told: [(&str, Option<Time>); 6] = [
        ("Asked for", times.asked),
        ("Begun", times.begun),
        ("Told to stop", times.stopped),
        ("Started again", times.started),
        ("Finished", Some(times.finished)),
        ("Signed", Some(receipt.issued)),
    ];
    told.into_iter()
        .filter_map(|(name, at)| Some((name, Zone::UTC.precise(at?))))
        .collect()
}

fn disks(receipt: &Receipt) -> Vec<DiskRow> {
    let rows = receipt.disks.iter();
    rows.map(|disk| {
        let mut roots = vec![disk.source_root.clone(), disk.destination_root.clone()];
        roots.dedup();
        DiskRow {
            name: format!("{}, number {}", disk.label, disk.id),
            size: format!("{} bytes", disk.size_bytes),
            verdict: match roots.len() {
                1 => Tag::new("Equal", Tone::Good),
                _ => Tag::new("Different", Tone::Bad),
            },
            roots,
        }
    })
    .collect()
}

fn profiles(receipt: &Receipt) -> Vec<ProfileRow> {
    let words = |of: &crate::domain::linode::translate::Profile| {
        let devices: Vec<String> = (of.devices.iter())
            .map(|(device, disk)| format!("{device}: {disk}"))
            .collect();
        format!(
            "{}; root {}; {}",
            of.kernel,
            of.root_device,
            devices.join(", ")
        )
    };
    let after = &receipt.profiles.after;
    let rows = receipt.profiles.before.iter();
    rows.map(|before| ProfileRow {
        name: before.profile.label.clone(),
        before: words(&before.profile),
        after: (after.iter().find(|it| it.id == before.id))
            .map(|it| words(&it.profile))
            .unwrap_or_default(),
    })
    .collect()
}

/// Of a move of this account; `None`: of any.
pub async fn read(portal: &Portal, account: Option<AccountId>, id: i64) -> Result<String> {
    portal::run(portal, move |app| app.receipt(account, MigrationId(id))).await
}

/// The file, to be saved.
pub fn file(body: String, id: i64) -> Response {
    let name = file_name(MigrationId(id));
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ))
        .insert_header((header::CONTENT_SECURITY_POLICY, crate::web::layer::FILES))
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(body))
}
