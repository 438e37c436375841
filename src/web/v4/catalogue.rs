//! What Linodes choose from: types (plans), kernels, the region, and images, of which there are none.

use actix_web::HttpRequest;
use actix_web::web::{Path, ServiceConfig};
use serde_json::{Value, json};

use super::answer::{Answer, Refusal, one, run};
use super::asked::{Filter, Page};
use super::caller::Reads;
use crate::domain::linode::translate::Kernel;
use crate::domain::platform;
use crate::store;
use crate::store::catalogue::Plan;
use crate::web::method::get;
use crate::web::portal::Portal;

/// The portal knows one place.
pub const REGION: &str = "main";

const KEYS: [&str; 5] = ["id", "label", "memory", "vcpus", "xen"];

pub fn configure(surface: &mut ServiceConfig) {
    surface
        .route("/linode/types", get().to(types))
        .route("/linode/types/{id}", get().to(one_type))
        .route("/linode/kernels", get().to(kernels))
        .route("/linode/kernels/{id:.+}", get().to(kernel))
        .route("/regions", get().to(regions))
        .route("/regions/{id}", get().to(region))
        .route("/images", get().to(images));
}

/// A plan's name as clients write it: `linode-512`.
pub fn slug(label: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    label.chars().map(plain).collect()
}

fn type_json(plan: &Plan) -> Value {
    json!({
        "id": slug(&plan.label),
        "label": plan.label,
        "class": "standard",
        "disk": plan.disk_mb,
        "memory": plan.ram_mb,
        "vcpus": plan.vcpus,
        "gpus": 0,
        "transfer": 0,
        "network_out": 0,
        "price": { "hourly": 0.0, "monthly": 0.0 },
        "region_prices": [],
        "addons": { "backups": { "price": { "hourly": 0.0, "monthly": 0.0 }, "region_prices": [] } },
        "successor": null,
    })
}

async fn all_types(portal: &Portal) -> Result<Vec<Value>, Refusal> {
    let plans = run(portal, |app| Ok(app.db.read(store::catalogue::plans)?)).await?;
    Ok(plans.iter().map(type_json).collect())
}

async fn types(portal: Portal, request: HttpRequest) -> Answer {
    listed(&request, all_types(&portal).await?)
}

async fn one_type(portal: Portal, id: Path<String>) -> Answer {
    named(all_types(&portal).await?, &id)
}

async fn all_kernels(portal: &Portal) -> Result<Vec<Value>, Refusal> {
    let kernels = run(portal, |app| Ok(app.db.read(store::catalogue::kernels)?)).await?;
    let json = |kernel: &Kernel| {
        json!({
            "id": kernel.id,
            "label": kernel.label,
            "version": kernel.family,
            "architecture": "i386",
            "kvm": false,
            "xen": kernel.platform == platform::TO,
            "pvops": false,
            "deprecated": false,
            "built": null,
        })
    };
    Ok(kernels.values().map(json).collect())
}

async fn kernels(portal: Portal, _caller: Reads, request: HttpRequest) -> Answer {
    listed(&request, all_kernels(&portal).await?)
}

async fn kernel(portal: Portal, _caller: Reads, id: Path<String>) -> Answer {
    named(all_kernels(&portal).await?, &id)
}

fn all_regions() -> Vec<Value> {
    vec![json!({
        "id": REGION,
        "label": "Where your Linodes are",
        "country": "us",
        "status": "ok",
        "capabilities": ["Linodes"],
        "resolvers": { "ipv4": "", "ipv6": "" },
        "site_type": "core",
    })]
}

async fn regions(request: HttpRequest) -> Answer {
    listed(&request, all_regions())
}

async fn region(id: Path<String>) -> Answer {
    named(all_regions(), &id)
}

async fn images(request: HttpRequest) -> Answer {
    listed(&request, Vec::new())
}

fn listed(request: &HttpRequest, all: Vec<Value>) -> Answer {
    let filter = Filter::of(request, &KEYS)?;
    Page::of(request)?.cut(filter.of_few(all))
}

fn named(all: Vec<Value>, id: &str) -> Answer {
    let found = all
        .into_iter()
        .find(|one| one.get("id") == Some(&json!(id)));
    one(found.ok_or_else(Refusal::not_found)?)
}
