//! The API through the front door: who gets in, what it answers, what hostile calls get, and the move from enrolment to its
//! end of the queue.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use xenbeta::app::account::tokens::Wish;
use xenbeta::app::context::Actor;
use xenbeta::domain::account::TokenScope;
use xenbeta::domain::values::Label;

use crate::both_databases;
use crate::browser::Site;
use crate::store::queries::fifty_more;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, WEB, XEN1};

/// What each kind of caller gets for web's things, its move being queued: no token, a token of another account, one that
/// may only read, one that may change.
const MATRIX: &[(&str, &str, [u16; 4])] = &[
    ("GET", "/profile", [401, 200, 200, 200]),
    ("GET", "/betas", [401, 200, 200, 200]),
    ("GET", "/betas/{id}", [401, 200, 200, 200]),
    ("GET", "/account/betas", [401, 200, 200, 200]),
    ("GET", "/account/betas/{id}", [401, 404, 200, 200]),
    ("POST", "/account/betas", [401, 400, 403, 400]),
    ("GET", "/linode/types", [200, 200, 200, 200]),
    ("GET", "/linode/types/{id}", [404, 404, 404, 404]),
    ("GET", "/linode/kernels", [401, 200, 200, 200]),
    ("GET", "/linode/kernels/{id:.+}", [401, 404, 404, 404]),
    ("GET", "/regions", [200, 200, 200, 200]),
    ("GET", "/regions/{id}", [404, 404, 404, 404]),
    ("GET", "/images", [200, 200, 200, 200]),
    ("GET", "/linode/instances", [401, 200, 200, 200]),
    ("GET", "/linode/instances/{id}", [401, 404, 200, 200]),
    ("GET", "/linode/instances/{id}/disks", [401, 404, 200, 200]),
    (
        "GET",
        "/linode/instances/{id}/disks/{disk}",
        [401, 404, 404, 404],
    ),
    (
        "GET",
        "/linode/instances/{id}/configs",
        [401, 404, 200, 200],
    ),
    (
        "GET",
        "/linode/instances/{id}/configs/{config}",
        [401, 404, 404, 404],
    ),
    ("GET", "/linode/instances/{id}/ips", [401, 404, 200, 200]),
    ("POST", "/linode/instances/{id}/boot", [401, 404, 403, 409]),
    (
        "POST",
        "/linode/instances/{id}/reboot",
        [401, 404, 403, 200],
    ),
    (
        "POST",
        "/linode/instances/{id}/shutdown",
        [401, 404, 403, 409],
    ),
    (
        "GET",
        "/linode/instances/{id}/migration",
        [401, 404, 200, 200],
    ),
    (
        "POST",
        "/linode/instances/{id}/migrate",
        [401, 404, 403, 200],
    ),
    (
        "POST",
        "/linode/instances/{id}/migration",
        [401, 404, 403, 200],
    ),
    (
        "PUT",
        "/linode/instances/{id}/migration",
        [401, 404, 403, 200],
    ),
    (
        "POST",
        "/linode/instances/{id}/migration/confirm",
        [401, 404, 403, 409],
    ),
    (
        "POST",
        "/linode/instances/{id}/migration/way-back",
        [401, 404, 403, 409],
    ),
    (
        "POST",
        "/linode/instances/{id}/migration/cancel",
        [401, 404, 403, 200],
    ),
];

const SOURCES: &str = concat!(
    include_str!("../../src/web/v4/account.rs"),
    include_str!("../../src/web/v4/beta.rs"),
    include_str!("../../src/web/v4/catalogue.rs"),
    include_str!("../../src/web/v4/linode.rs"),
    include_str!("../../src/web/v4/migration.rs"),
);

/// Routes as they are spelled.
fn routes() -> BTreeSet<(String, String)> {
    let source: String = SOURCES.split_whitespace().collect();
    let routes = source.split(".route(\"").skip(1).map(|rest| {
        let (path, rest) = rest.split_once("\",").unwrap();
        let (method, _) = rest.split_once("()").unwrap();
        (method.to_uppercase(), path.to_owned())
    });
    routes.collect()
}

#[test]
fn every_route_has_its_line_here_and_in_the_docs() {
    let listed = MATRIX
        .iter()
        .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()));
    assert_eq!(listed.collect::<BTreeSet<_>>(), routes());
    let docs = include_str!("../../docs/API.md");
    for (method, path) in routes() {
        let line = format!("| `{method} {}` |", path.replace(":.+", ""));
        assert!(docs.contains(&line), "docs/API.md: {line}");
    }
}

struct Client {
    base: String,
    token: String,
}

impl Client {
    fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.ask(method, path, &[], body)
    }

    fn get(&self, path: &str) -> Value {
        let (status, answer) = self.call("GET", path, "");
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    fn filtered(&self, path: &str, filter: &str) -> (u16, Value) {
        self.ask("GET", path, &[("x-filter", filter)], "")
    }

    /// Every answer is JSON without a cookie, and every error in the one shape.
    fn ask(&self, method: &str, path: &str, head: &[(&str, &str)], body: &str) -> (u16, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .allow_non_standard_methods(true)
            .build()
            .into();
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        for (name, value) in head {
            request = request.header(*name, *value);
        }
        let mut reply = if method == "GET" {
            agent.run(request.body(()).unwrap()).unwrap()
        } else {
            agent.run(request.body(body.to_owned()).unwrap()).unwrap()
        };
        let status = reply.status().as_u16();
        let kind = reply
            .headers()
            .get("content-type")
            .unwrap()
            .to_str()
            .unwrap();
        assert!(
            kind.starts_with("application/json"),
            "{method} {path}: {kind}"
        );
        assert!(
            reply.headers().get("set-cookie").is_none(),
            "{method} {path}"
        );
        let said: Value = reply.body_mut().read_json().unwrap();
        if status >= 400 {
            assert!(
                said["errors"][0]["reason"].is_string(),
                "{method} {path}: {said}"
            );
        }
        (status, said)
    }
}

fn token(app: &TestApp, actor: &Actor, scope: TokenScope) -> String {
    let wish = Wish {
        label: Label::parse("script").unwrap(),
        scope,
        days: Some(1),
        form: format!("{} {scope}", actor.name),
    };
    app.make_token(actor, &wish).unwrap().unwrap().token
}

fn client(site: &Site, token: &str) -> Client {
    Client {
        base: site.base.clone(),
        token: token.to_owned(),
    }
}

fn changes(app: &TestApp, site: &Site) -> Client {
    client(site, &token(app, &app.member(), TokenScope::ReadWrite))
}

both_databases! {
    fn who_gets_what(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        let site = Site::serve(&app.app);
        let callers = [
            String::new(),
            token(&app, &app.other_member(), TokenScope::ReadWrite),
            token(&app, &app.member(), TokenScope::ReadOnly),
            token(&app, &app.member(), TokenScope::ReadWrite),
        ];
        for (column, token) in callers.iter().enumerate() {
            let caller = client(&site, token);
            for (method, path, expected) in MATRIX {
                let id = if path.starts_with("/linode/instances") { "101" } else if path.contains("betas") { "xen" } else { "none/such" };
                let id = if path.starts_with("/regions") || path.contains("/types") { "none" } else { id };
                let path = path.replace("{id}", id).replace("{id:.+}", id).replace("{disk}", "9").replace("{config}", "9");
                for root in if *method == "GET" { &["/v4", "/v4beta"][..] } else { &["/v4"] } {
                    let (status, answer) = caller.call(method, &format!("{root}{path}"), "");
                    assert_eq!(status, expected[column], "{method} {root}{path}, {column}: {answer}");
                }
            }
        }
    }

    fn a_token_is_dead_at_once_when_it_is_revoked_or_over(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let member = app.member();
        let caller = changes(&app, &site);
        assert_eq!(caller.get("/v4/profile")["email"], MEMBER_EMAIL);
        let used = || app.db.read(|conn| xenbeta::store::account::tokens::of_user(conn, member.user)).unwrap();
        let first = used()[0].used_at.unwrap();
        app.pass_s(59);
        caller.get("/v4/profile");
        assert_eq!(used()[0].used_at, Some(first), "noted once a minute");
        app.pass_s(1);
        caller.get("/v4/profile");
        assert_ne!(used()[0].used_at, Some(first));
        app.revoke_token(&member, used()[0].id).unwrap();
        assert_eq!(caller.call("GET", "/v4/profile", "").0, 401);
        let over = client(&site, &token(&app, &member, TokenScope::ReadOnly));
        over.get("/v4/profile");
        app.pass_s(86_400);
        assert_eq!(over.call("GET", "/v4/profile", "").0, 401);
        // A session says nothing here.
        let cookie = site.signed_in(MEMBER_EMAIL).cookie();
        let nobody = client(&site, "");
        assert_eq!(nobody.ask("GET", "/v4/profile", &[("cookie", &cookie)], "").0, 401);
    }

    fn bad_tokens_are_counted_and_good_ones_are_not(app: TestApp) {
        let app = app.with_fleet();
        let site = Site::serve(&app.app);
        let good = changes(&app, &site);
        good.get("/v4/profile");
        let statuses: Vec<u16> = (0..70).map(|n| client(&site, &format!("xb{n}")).call("GET", "/v4/profile", "").0).collect();
        assert_eq!((statuses[0], statuses[69]), (401, 429));
        good.get("/v4/profile");
    }

    fn what_is_wrong_is_said_in_one_shape(app: TestApp) {
        let app = app.with_fleet();
        let site = Site::serve(&app.app);
        let caller = changes(&app, &site);
        for (method, path, status) in [
            ("GET", "/v4", 404), ("GET", "/v4/", 404), ("GET", "/v4/nowhere", 404), ("GET", "/v4/linode/instances/x", 404),
            ("DELETE", "/v4/linode/instances/101", 404), ("POST", "/v4/regions", 404),
            ("GET", "/v4/regions?page_size=24", 400), ("GET", "/v4/regions?page=0", 400), ("GET", "/v4/regions?page=1&page=2", 400),
            ("GET", "/v4/regions?page=99999999999999999999", 400),
        ] {
            let (found, answer) = caller.call(method, path, "");
            assert_eq!(found, status, "{method} {path}: {answer}");
        }
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        let reboot = "/v4/linode/instances/101/reboot";
        assert_eq!(caller.call("POST", reboot, &deep).0, 400);
        assert_eq!(caller.call("POST", reboot, &"[".repeat(10_000)).0, 400);
        assert_eq!(caller.call("POST", reboot, &"x".repeat(20_000)).0, 413);
        assert_eq!(caller.call("POST", reboot, "{\"config_id\":\"1\"}").1["errors"][0]["field"], "config_id");
        assert_eq!(caller.call("POST", reboot, "{\"unknown\":{\"a\":[1]}}").0, 200, "unknown fields are left aside");
        let packed = caller.ask("POST", reboot, &[("content-encoding", "gzip")], "x");
        assert_eq!(packed.0, 415);
    }

    fn lists_are_in_pages_and_filtered(app: TestApp) {
        let app = app.with_fleet();
        let site = Site::serve(&app.app);
        let caller = changes(&app, &site);
        let list = "/v4/linode/instances";
        let all = caller.get(list);
        let labels = |answer: &Value| -> Vec<String> {
            answer["data"].as_array().unwrap().iter().map(|row| row["label"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!((all["page"].as_i64(), all["pages"].as_i64(), all["results"].as_i64()), (Some(1), Some(1), Some(labels(&all).len() as i64)));
        let found = |filter: &str| { let (status, answer) = caller.filtered(list, filter); assert_eq!(status, 200, "{filter}: {answer}"); labels(&answer) };
        assert_eq!(found("{\"label\":\"web\"}"), ["web"]);
        assert_eq!(found("{\"+and\":[{\"id\":101},{\"label\":\"web\"}]}"), ["web"]);
        assert_eq!(found("{\"+and\":[{\"id\":102},{\"label\":\"web\"}]}"), Vec::<String>::new());
        let up = found("{\"+order_by\":\"label\",\"+order\":\"asc\"}");
        let mut down = found("{\"+order_by\":\"label\",\"+order\":\"desc\"}");
        down.reverse();
        assert_eq!(up, down);
        let nested = format!("{}{{\"label\":\"web\"}}{}", "{\"+and\":[".repeat(50), "]}".repeat(50));
        let many = format!("{{\"+and\":[{}]}}", vec!["{\"id\":1}"; 21].join(","));
        let long = format!("{{\"label\":\"{}\"}}", "x".repeat(3000));
        for bad in ["x", "[]", "{\"host\":1}", "{\"+or\":[{\"id\":1}]}", "{\"label\":{\"+contains\":\"e\"}}", "{\"label\":null}", &nested, &many, &long] {
            let (status, answer) = caller.filtered(list, bad);
            assert_eq!(status, 400, "{bad}");
            assert!(answer["errors"][0]["field"].is_string(), "{answer}");
        }
        fifty_more(&app);
        let (first, second) = (caller.get(&format!("{list}?page_size=25")), caller.get(&format!("{list}?page_size=25&page=2")));
        assert_eq!(first["results"], second["results"]);
        let ids: BTreeSet<i64> = [&first, &second].iter().flat_map(|page| page["data"].as_array().unwrap()).map(|row| row["id"].as_i64().unwrap()).collect();
        assert_eq!(ids.len(), 50, "no row twice");
        let one = caller.get("/v4/linode/instances/101");
        assert_eq!(one["ipv4"], json!(["192.0.2.11", "192.168.1.11"]));
        assert_eq!(one["hypervisor"], "uml");
    }

    fn enrolled_and_moved_by_calls_alone(app: TestApp) {
        let app = app.with_fleet();
        let site = Site::serve(&app.app);
        let caller = changes(&app, &site);
        assert_eq!(caller.get("/v4/account/betas")["results"], 0);
        assert_eq!(caller.call("POST", "/v4/account/betas", "{\"id\":\"other\"}").0, 400);
        for _ in 0..2 {
            assert_eq!(caller.call("POST", "/v4/account/betas", "{\"id\":\"xen\"}"), (200, json!({})));
        }
        assert_eq!(caller.get("/v4/account/betas")["data"][0]["id"], "xen");
        let (status, answer) = caller.call("POST", "/v4/linode/instances/101/migrate", "");
        assert_eq!(status, 409, "nothing is offered: {answer}");
        let row = app.db.read(|conn| xenbeta::store::registration::newest_of(conn, WEB)).unwrap().unwrap();
        app.approve(&app.staff(), &[row.id]).unwrap();
        app.offer(&app.staff(), row.id, Some(XEN1)).unwrap();
        assert_eq!(caller.get("/v4/linode/instances/101/migration")["state"], "offered");
        for _ in 0..2 {
            assert_eq!(caller.call("POST", "/v4/linode/instances/101/migrate", "{\"upgrade\":true}"), (200, json!({})));
        }
        let at = caller.get("/v4/linode/instances/101/migration");
        assert_eq!((at["state"].as_str(), at["percent_complete"].as_i64()), (Some("queued"), Some(0)));
        let wrong = caller.call("PUT", "/v4/linode/instances/101/migration", "{\"at\":\"tomorrow\"}");
        assert_eq!(wrong.1["errors"][0]["field"], "at");
        for _ in 0..2 {
            assert_eq!(caller.call("POST", "/v4/linode/instances/101/migration/cancel", ""), (200, json!({})));
        }
    }
}
