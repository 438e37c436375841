//! `/v4/linode/instances`: an account's Linodes, their disks, config profiles and addresses; boot, reboot, shut down.

use actix_web::HttpRequest;
use actix_web::web::{Path, Payload, ServiceConfig, post};
use serde_json::{Value, json};

use super::answer::{Answer, Refusal, date, done, one, run};
use super::asked::{self, Filter, Op, Page, Term};
use super::caller::{Changes, Reads};
use super::catalogue::{self, REGION};
use crate::domain::ids::{AccountId, ConfigId, LinodeId};
use crate::domain::job::JobKind;
use crate::domain::linode::{Helper, IpKind, LinodeStatus};
use crate::domain::string_enum::StringEnum;
use crate::store;
use crate::store::error::StoreError;
use crate::store::linode::address::Ip;
use crate::store::linode::disk::Disk;
use crate::store::linode::page::LinodeDetail;
use crate::store::linode::profile::ConfigProfile;
use crate::store::linode::record::{Only, Order, Record, RecordPage, Wanted};
use crate::web::method::get;
use crate::web::portal::Portal;

const KEYS: [&str; 4] = ["id", "label", "status", "created"];

pub fn configure(surface: &mut ServiceConfig) {
    surface
        .route("/linode/instances", get().to(list))
        .route("/linode/instances/{id}", get().to(show))
        .route("/linode/instances/{id}/boot", post().to(boot))
        .route("/linode/instances/{id}/reboot", post().to(reboot))
        .route("/linode/instances/{id}/shutdown", post().to(shutdown))
        .route("/linode/instances/{id}/disks", get().to(disks))
        .route("/linode/instances/{id}/disks/{disk}", get().to(disk))
        .route("/linode/instances/{id}/configs", get().to(configs))
        .route("/linode/instances/{id}/configs/{config}", get().to(config))
        .route("/linode/instances/{id}/ips", get().to(ips));
}

/// The filter as what the database is asked.
fn wanted(filter: &Filter, page: Page) -> Result<Wanted, Refusal> {
    let only: Result<Vec<Only>, Refusal> = filter.terms.iter().map(only).collect();
    Ok(Wanted {
        only: only?,
        order: match filter.order_by.as_deref() {
            Some("label") => Order::Label,
            Some("created") => Order::Created,
            Some("status") => {
                return Err(Refusal::field("+order_by", "id, label or created"));
            }
            _ => Order::Id,
        },
        descending: filter.descending,
        skip: page.skip(),
        most: page.most(),
    })
}

fn only(term: &Term) -> Result<Only, Refusal> {
    let text = term.value.as_str();
    let id = term.value.as_i64().map(LinodeId);
    let status = || text.and_then(LinodeStatus::parse);
    let only = match (term.key.as_str(), term.op) {
        ("id", Op::Is) => id.map(Only::Id),
        ("id", Op::Over) => id.map(Only::IdOver),
        ("id", Op::Under) => id.map(Only::IdUnder),
        ("label", Op::Is) => text.map(|text| Only::Label(text.to_owned())),
        ("label", Op::Not) => text.map(|text| Only::NotLabel(text.to_owned())),
        ("status", Op::Is) => status().map(Only::Status),
        ("status", Op::Not) => status().map(Only::NotStatus),
        _ => None,
    };
    only.ok_or_else(|| Refusal::field(&term.key, "Cannot be compared so"))
}

fn instance(row: &Record, found: &RecordPage) -> Value {
    let ips = found.ips.get(&row.id).map_or(&[][..], Vec::as_slice);
    let status = if found.switching.contains(&row.id) {
        "migrating"
    } else {
        row.status.as_str()
    };
    let (six, four): (Vec<&Ip>, Vec<&Ip>) = ips.iter().partition(|ip| is_six(ip));
    json!({
        "id": row.id,
        "label": row.label,
        "status": status,
        "region": REGION,
        "type": catalogue::slug(&row.plan),
        "image": Value::Null,
        "ipv4": four.iter().map(|ip| &ip.address).collect::<Vec<_>>(),
        "ipv6": six.first().map(|ip| format!("{}/{}", ip.address, ip.prefix)),
        "specs": { "disk": row.disk_mb, "memory": row.ram_mb, "vcpus": row.vcpus, "gpus": 0, "transfer": 0 },
        "alerts": { "cpu": 0, "io": 0, "network_in": 0, "network_out": 0, "transfer_quota": 0 },
        "backups": { "enabled": false, "available": false, "schedule": { "day": null, "window": null } },
        "hypervisor": row.platform,
        "tags": [],
        "group": "",
        "host_uuid": "",
        "watchdog_enabled": true,
        "created": date(row.created_at),
        "updated": date(row.status_at),
    })
}

async fn list(portal: Portal, caller: Reads, request: HttpRequest) -> Answer {
    let page = Page::of(&request)?;
    let wanted = wanted(&Filter::of(&request, &KEYS)?, page)?;
    let found = find(&portal, caller.account, wanted).await?;
    let data = found.rows.iter().map(|row| instance(row, &found)).collect();
    page.answer(data, found.all)
}

async fn find(portal: &Portal, account: AccountId, wanted: Wanted) -> Result<RecordPage, Refusal> {
    run(portal, move |app| {
        Ok(app
            .db
            .read(|conn| store::linode::record::page(conn, account, &wanted))?)
    })
    .await
}

async fn show(portal: Portal, caller: Reads, id: Path<i64>) -> Answer {
    let wanted = Wanted {
        only: vec![Only::Id(LinodeId(*id))],
        order: Order::Id,
        descending: false,
        skip: 0,
        most: 1,
    };
    let found = find(&portal, caller.account, wanted).await?;
    let row = found.rows.first().ok_or_else(Refusal::not_found)?;
    one(instance(row, &found))
}

async fn boot(
    portal: Portal,
    caller: Changes,
    id: Path<i64>,
    (request, payload): (HttpRequest, Payload),
) -> Answer {
    power(portal, caller, (*id, JobKind::Boot), (request, payload)).await
}

async fn reboot(
    portal: Portal,
    caller: Changes,
    id: Path<i64>,
    (request, payload): (HttpRequest, Payload),
) -> Answer {
    power(portal, caller, (*id, JobKind::Reboot), (request, payload)).await
}

async fn shutdown(
    portal: Portal,
    caller: Changes,
    id: Path<i64>,
    (request, payload): (HttpRequest, Payload),
) -> Answer {
    power(portal, caller, (*id, JobKind::Shutdown), (request, payload)).await
}

async fn power(
    portal: Portal,
    caller: Changes,
    (id, kind): (i64, JobKind),
    (request, payload): (HttpRequest, Payload),
) -> Answer {
    let said = asked::body(&request, payload, caller.account).await?;
    let config = match said.get("config_id") {
        None | Some(Value::Null) => None,
        Some(config) => Some(ConfigId(config.as_i64().ok_or_else(|| {
            Refusal::field("config_id", "The number of a config profile is wanted")
        })?)),
    };
    run(&portal, move |app| {
        app.power(&caller.actor, LinodeId(id), kind, config)
    })
    .await?;
    done()
}

async fn detail(portal: &Portal, account: AccountId, id: i64) -> Result<LinodeDetail, Refusal> {
    run(portal, move |app| {
        Ok(app
            .db
            .read(|conn| store::linode::page::linode(conn, account, LinodeId(id)))?)
    })
    .await?
    .ok_or_else(Refusal::not_found)
}

fn disk_json(disk: &Disk, of: &LinodeDetail) -> Value {
    json!({
        "id": disk.id,
        "label": disk.label,
        "size": disk.size_mb,
        "filesystem": disk.filesystem,
        "status": "ready",
        "created": date(of.linode.created_at),
        "updated": date(of.linode.created_at),
    })
}

async fn disks(portal: Portal, caller: Reads, id: Path<i64>, request: HttpRequest) -> Answer {
    let page = Page::of(&request)?;
    let of = detail(&portal, caller.account, *id).await?;
    page.cut(of.disks.iter().map(|disk| disk_json(disk, &of)).collect())
}

async fn disk(portal: Portal, caller: Reads, path: Path<(i64, i64)>) -> Answer {
    let (id, wanted) = path.into_inner();
    let of = detail(&portal, caller.account, id).await?;
    let disk = of.disks.iter().find(|disk| disk.id.0 == wanted);
    one(disk_json(disk.ok_or_else(Refusal::not_found)?, &of))
}

fn config_json(profile: &ConfigProfile, of: &LinodeDetail) -> Result<Value, StoreError> {
    let devices: serde_json::Map<String, Value> = profile
        .device_map()?
        .into_iter()
        .map(|(name, disk)| (name, json!({ "disk_id": disk, "volume_id": null })))
        .collect();
    let helpers = profile.helper_list()?;
    let has = |helper| helpers.contains(&helper);
    Ok(json!({
        "id": profile.id,
        "label": profile.label,
        "kernel": profile.kernel_id,
        "devices": devices,
        "root_device": profile.root_device,
        "run_level": profile.run_level,
        "virt_mode": "paravirt",
        "memory_limit": profile.ram_limit_mb,
        "comments": profile.comments,
        "initrd": null,
        "interfaces": [],
        "helpers": {
            "distro": has(Helper::Fstab),
            "modules_dep": has(Helper::Modules),
            "network": has(Helper::UdevNet),
            "updatedb_disabled": has(Helper::UpdatedbOff),
            "devtmpfs_automount": false,
        },
        "created": date(of.linode.created_at),
        "updated": date(of.linode.created_at),
    }))
}

fn all_configs(of: &LinodeDetail) -> Result<Vec<Value>, Refusal> {
    let all: Result<Vec<Value>, StoreError> = of
        .profiles
        .iter()
        .map(|profile| config_json(profile, of))
        .collect();
    all.map_err(|error| crate::app::error::AppError::from(error).into())
}

async fn configs(portal: Portal, caller: Reads, id: Path<i64>, request: HttpRequest) -> Answer {
    let page = Page::of(&request)?;
    let of = detail(&portal, caller.account, *id).await?;
    page.cut(all_configs(&of)?)
}

async fn config(portal: Portal, caller: Reads, path: Path<(i64, i64)>) -> Answer {
    let (id, wanted) = path.into_inner();
    let of = detail(&portal, caller.account, id).await?;
    let all = all_configs(&of)?;
    let found = all
        .into_iter()
        .find(|config| config.get("id") == Some(&json!(wanted)));
    one(found.ok_or_else(Refusal::not_found)?)
}

async fn ips(portal: Portal, caller: Reads, id: Path<i64>) -> Answer {
    let of = detail(&portal, caller.account, *id).await?;
    let those = |kind: &str, fits: &dyn Fn(&Ip) -> bool| -> Vec<Value> {
        let all = of.ips.iter().filter(|ip| fits(ip));
        all.map(|ip| {
            json!({
                "address": ip.address, "gateway": ip.gateway, "prefix": ip.prefix, "rdns": ip.rdns,
                "linode_id": of.linode.id, "region": REGION, "type": kind, "public": ip.kind == IpKind::Public,
                "subnet_mask": null,
            })
        })
        .collect()
    };
    let four = |kind| those("ipv4", &move |ip: &Ip| ip.kind == kind && !is_six(ip));
    let six = those("ipv6", &is_six);
    one(json!({
        "ipv4": {
            "public": four(IpKind::Public), "private": four(IpKind::Private),
            "shared": [], "reserved": [], "vpc": [],
        },
        "ipv6": {
            "slaac": six.first().cloned().unwrap_or_else(|| json!({ "address": null })),
            "link_local": { "address": null },
            "global": [],
        },
    }))
}

fn is_six(ip: &Ip) -> bool {
    ip.address.contains(':')
}
