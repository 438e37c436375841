//! The fleet, brought by `xenbeta import` as a manager's data is; more of it comes while the portals serve.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};
use xenbeta::app::context::Actor;
use xenbeta::domain::account::UserRole;
use xenbeta::domain::ids::{AccountId, UserId};

use super::town::Town;
use crate::processes::Program;
use crate::support::fleet::PASSWORD;

/// Accounts at the beginning, at most, and Linodes of each.
const ACCOUNTS: u64 = 10;
const LINODES: u64 = 3;
const PLAN: &str = "Linode 128";

/// Whoever boots an account's Linodes at the beginning.
pub fn member(user: i64, account: i64) -> Actor {
    Actor {
        user: UserId(user),
        account: Some(AccountId(account)),
        role: UserRole::Member,
        staff_role: None,
        name: "soak".to_owned(),
        address: "198.51.100.7".to_owned(),
        session: None,
        owes: None,
    }
}

fn host(name: &str, platform: &str, role: &str) -> Value {
    let mut host = json!({"name": name, "platform": platform, "role": role, "memory_mb": 8192, "disk_mb": 400_000, "slots": 3});
    if role == "production" {
        host["plan"] = json!(PLAN);
    }
    host
}

fn linode(id: u64) -> Value {
    let host = if id.is_multiple_of(2) { "uml1" } else { "uml2" };
    json!({
        "id": id, "label": format!("linode{id}"), "plan": PLAN, "host": host,
        "mac": format!("fe:fd:00:00:{:02x}:{:02x}", id / 256, id % 256),
        "disks": [
            {"id": id * 10, "label": "root", "size_mb": 6, "filesystem": "ext3"},
            {"id": id * 10 + 1, "label": "swap", "size_mb": 2, "filesystem": "swap"}
        ],
        "configs": [{
            "id": id, "label": "default", "kernel": "2.6-uml", "devices": {"ubda": id * 10, "ubdb": id * 10 + 1},
            "root_device": "/dev/ubda"
        }],
        "ips": [{"address": format!("10.{}.{}.1", id / 256, id % 256), "prefix": 24, "gateway": "10.0.0.1", "kind": "public"}]
    })
}

fn account(number: u64, hash: &str) -> Value {
    let linodes: Vec<Value> = (0..LINODES)
        .map(|at| linode(1000 + number * LINODES + at))
        .collect();
    json!({
        "name": format!("Account {number}"),
        "users": [{"email": format!("m{number}@example.com"), "name": format!("Member {number}"), "password_hash": hash}],
        "linodes": linodes
    })
}

fn import(town: &Town, program: &Program, accounts: Vec<Value>) -> Output {
    let fleet = json!({
        "format": "xenbeta-fleet-1",
        "plans": [{"label": PLAN, "ram_mb": 128, "disk_mb": 3200, "vcpus": 1}],
        "kernels": [
            {"id": "2.6-uml", "label": "2.6 under UML", "platform": "uml", "family": "2.6", "maps_to": "2.6-xen"},
            {"id": "2.6-xen", "label": "2.6 under Xen", "platform": "xen", "family": "2.6", "maps_to": "2.6-uml"}
        ],
        "hosts": [
            host("uml1", "uml", "source"), host("uml2", "uml", "source"), host("xen1", "xen", "beta"),
            host("xen2", "xen", "beta"), host("prod1", "xen", "production")
        ],
        "accounts": accounts
    });
    let file = town.folder.join(town.word("fleet"));
    fs::write(&file, fleet.to_string()).unwrap();
    program.tool(&["import", file.to_str().unwrap()])
}

pub fn begin(town: &Town, program: &Program, accounts: u64) {
    let hash = town.app.hasher.hash(PASSWORD).unwrap();
    // One whose mail is put off by its server at first.
    let mut all: Vec<Value> = (0..accounts).map(|number| account(number, &hash)).collect();
    all[0]["users"][0]["email"] = json!("later-2@example.com");
    let out = import(town, program, all);
    assert!(out.status.success(), "{out:?}");
}

/// The same again, and one more account.
pub fn grow(town: &Town, program: &Program, number: u64) -> Output {
    let hash = town.app.hasher.hash(PASSWORD).unwrap();
    import(town, program, vec![account(ACCOUNTS + number, &hash)])
}
