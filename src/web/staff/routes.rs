//! Staff's surface: each route, and the right that it takes.

use actix_web::web::ServiceConfig;

use super::bug::{self, moderation};
use super::evacuation::plan;
use super::fairness::{self, weights};
use super::graduation::{self, offer};
use super::host::{self, enrol};
use super::ownership::{held, joint, recovery};
use super::placement;
use super::programme::{self, end, move_times, texts};
use super::registration::{self, bulk};
use super::{
    account, audit, batch, dashboard, faq, job, linode, mail, migration, readiness, to_dashboard,
    wave,
};
use crate::domain::account::Right::{
    Bugs, Evacuation, Faq, Graduation, Hosts, Jobs, Mail, Moves, People, Programme, Read,
    Registrations, Weights,
};
use crate::web::method::{get, get_by, post_by};

#[allow(clippy::too_many_lines, reason = "one table")]
pub fn configure(surface: &mut ServiceConfig) {
    surface
        .route("/staff", get().to(to_dashboard))
        .route("/staff/", get_by(Read).to(dashboard::show))
        .route(
            "/staff/registrations",
            get_by(Read).to(registration::list::list),
        )
        .route(
            "/staff/registrations.csv",
            get_by(Read).to(registration::list::csv),
        )
        .route(
            "/staff/registrations/review",
            get_by(Registrations).to(bulk::review),
        )
        .route(
            "/staff/registrations/{deed}",
            post_by(Registrations).to(bulk::act),
        )
        .route("/staff/plan", get_by(Read).to(placement::plan::show))
        .route(
            "/staff/plan",
            post_by(Registrations).to(placement::offer::make),
        )
        .route("/staff/plan.csv", get_by(Read).to(placement::plan::csv))
        .route(
            "/staff/plan/hosts.csv",
            get_by(Read).to(placement::room::csv),
        )
        .route("/staff/migrations", get_by(Read).to(migration::list::list))
        .route(
            "/staff/migrations/{id}",
            get_by(Read).to(migration::show::show),
        )
        .route("/staff/batches", get_by(Read).to(batch::list::list))
        .route("/staff/batches/{id}", get_by(Read).to(batch::show::show))
        .route(
            "/staff/batches/{id}/stop",
            post_by(Registrations).to(batch::show::stop),
        )
        .route("/staff/waves", get_by(Read).to(wave::list::list))
        .route("/staff/waves", post_by(Moves).to(wave::new::make))
        .route("/staff/waves.csv", get_by(Read).to(wave::list::csv))
        .route("/staff/waves/new", get_by(Moves).to(wave::new::new))
        .route("/staff/waves/pause", get_by(Read).to(wave::pause::show))
        .route("/staff/waves/pause", post_by(Moves).to(wave::pause::pause))
        .route("/staff/waves/go-on", post_by(Moves).to(wave::pause::go_on))
        .route("/staff/waves/{id}", get_by(Read).to(wave::show::show))
        .route(
            "/staff/waves/{id}/items.csv",
            get_by(Read).to(wave::items::csv),
        )
        .route(
            "/staff/waves/{id}/skip",
            post_by(Moves).to(wave::items::skip),
        )
        .route(
            "/staff/waves/{id}/{deed}",
            get_by(Moves).to(wave::deed::ask),
        )
        .route(
            "/staff/waves/{id}/{deed}",
            post_by(Moves).to(wave::deed::act),
        )
        .route("/staff/linodes", get_by(Read).to(linode::list::list))
        .route("/staff/linodes/{id}", get_by(Read).to(linode::show::show))
        .route(
            "/staff/migrations/{id}/events",
            get_by(Read).to(migration::show::events),
        )
        .route(
            "/staff/migrations/{id}/receipt",
            get_by(Read).to(migration::receipt::show),
        )
        .route(
            "/staff/migrations/{id}/receipt.json",
            get_by(Read).to(migration::receipt::file),
        )
        .route(
            "/staff/migrations/{id}/{deed}",
            get_by(Moves).to(migration::actions::ask),
        )
        .route(
            "/staff/migrations/{id}/{deed}",
            post_by(Moves).to(migration::actions::act),
        )
        .route("/staff/held", get_by(Read).to(held::list))
        .route("/staff/held/{id}", get_by(Read).to(held::show))
        .route("/staff/held/{id}/believe", get_by(Hosts).to(held::ask))
        .route("/staff/held/{id}/believe", post_by(Hosts).to(held::believe))
        .route("/staff/recovery", get_by(Read).to(recovery::show))
        .route(
            "/staff/recovery/clock",
            get_by(Hosts).to(recovery::ask_clock),
        )
        .route(
            "/staff/recovery/clock",
            post_by(Hosts).to(recovery::clock_is_right),
        )
        .route("/staff/joint/{id}", get_by(Read).to(joint::show))
        .route("/staff/joint/{id}", post_by(Hosts).to(joint::agree))
        .route(
            "/staff/joint/{id}/withdraw",
            get_by(Hosts).to(joint::ask_withdraw),
        )
        .route(
            "/staff/joint/{id}/withdraw",
            post_by(Hosts).to(joint::withdraw),
        )
        .route(
            "/staff/hosts/{id}/joint/{kind}",
            get_by(Hosts).to(joint::form),
        )
        .route(
            "/staff/hosts/{id}/joint/{kind}",
            post_by(Hosts).to(joint::ask),
        )
        .route("/staff/hosts", get_by(Read).to(host::list::list))
        .route("/staff/hosts", post_by(Hosts).to(enrol::add))
        .route("/staff/hosts/new", get_by(Hosts).to(enrol::new))
        .route("/staff/hosts/{id}", get_by(Read).to(host::show::show))
        .route(
            "/staff/hosts/{id}/state",
            post_by(Hosts).to(host::show::set_state),
        )
        .route(
            "/staff/hosts/{id}/limits",
            post_by(Hosts).to(host::show::set_limits),
        )
        .route(
            "/staff/hosts/{id}/evacuate",
            get_by(Evacuation).to(plan::ask),
        )
        .route(
            "/staff/hosts/{id}/evacuate",
            post_by(Evacuation).to(plan::make),
        )
        .route(
            "/staff/hosts/{id}/token",
            get_by(Hosts).to(enrol::ask_token),
        )
        .route(
            "/staff/hosts/{id}/token",
            post_by(Hosts).to(enrol::make_token),
        )
        .route(
            "/staff/hosts/{id}/revoke",
            get_by(Hosts).to(enrol::ask_revoke),
        )
        .route("/staff/hosts/{id}/revoke", post_by(Hosts).to(enrol::revoke))
        .route(
            "/staff/hosts/{id}/fairness",
            get_by(Read).to(fairness::host::show),
        )
        .route(
            "/staff/hosts/{id}/fairness.csv",
            get_by(Read).to(fairness::host::csv),
        )
        .route("/staff/fairness", get_by(Read).to(fairness::list::list))
        .route("/staff/fairness.csv", get_by(Read).to(fairness::list::csv))
        .route("/staff/fairness/weights", get_by(Read).to(weights::show))
        .route(
            "/staff/fairness/weights/rule",
            post_by(Weights).to(weights::save_rule),
        )
        .route(
            "/staff/fairness/weights/linode",
            post_by(Weights).to(weights::save_linode),
        )
        .route("/staff/bugs", get_by(Read).to(bug::list::list))
        .route("/staff/bugs.csv", get_by(Read).to(bug::list::csv))
        .route("/staff/bugs/{id}", get_by(Read).to(bug::thread::show))
        .route("/staff/bugs/{id}", post_by(Bugs).to(bug::thread::triage))
        .route("/staff/bugs/{id}/hide", get_by(Bugs).to(moderation::ask))
        .route("/staff/bugs/{id}/hide", post_by(Bugs).to(moderation::act))
        .route(
            "/staff/bugs/{id}/reply",
            post_by(Bugs).to(bug::thread::reply),
        )
        .route("/staff/bugs/{id}/note", post_by(Bugs).to(bug::thread::note))
        .route(
            "/staff/bugs/{id}/explains",
            post_by(Bugs).to(bug::thread::explains),
        )
        .route(
            "/staff/bugs/{id}/files/{file}",
            get_by(Read).to(bug::thread::file),
        )
        .route("/staff/faq", get_by(Read).to(faq::list::list))
        .route("/staff/faq/new", get_by(Faq).to(faq::edit::new))
        .route("/staff/faq/new", post_by(Faq).to(faq::edit::add))
        .route("/staff/faq/{id}", get_by(Read).to(faq::edit::edit))
        .route("/staff/faq/{id}", post_by(Faq).to(faq::edit::save))
        .route("/staff/faq/{id}/move", post_by(Faq).to(faq::list::move_it))
        .route("/staff/faq/{id}/retire", post_by(Faq).to(faq::list::retire))
        .route(
            "/staff/questions/{id}",
            get_by(Read).to(faq::edit::question),
        )
        .route("/staff/questions/{id}", post_by(Faq).to(faq::edit::answer))
        .route("/staff/programme", get_by(Read).to(programme::show::show))
        .route(
            "/staff/programme",
            post_by(Programme).to(programme::show::save),
        )
        .route(
            "/staff/programme/funnel.csv",
            get_by(Read).to(programme::show::funnel_csv),
        )
        .route("/staff/programme/end", get_by(Programme).to(end::ask))
        .route("/staff/programme/end", post_by(Programme).to(end::end))
        .route(
            "/staff/programme/texts/{section}",
            get_by(Read).to(texts::show),
        )
        .route(
            "/staff/programme/texts/{section}",
            post_by(Programme).to(texts::save),
        )
        .route("/staff/graduation", get_by(Read).to(graduation::plan::list))
        .route(
            "/staff/graduation.csv",
            get_by(Read).to(graduation::plan::csv),
        )
        .route("/staff/graduation/offer", get_by(Graduation).to(offer::ask))
        .route(
            "/staff/graduation/offer",
            post_by(Graduation).to(offer::make),
        )
        .route("/staff/readiness", get_by(Read).to(readiness::show::show))
        .route(
            "/staff/readiness.csv",
            get_by(Read).to(readiness::show::csv),
        )
        .route(
            "/staff/readiness/limits",
            get_by(Read).to(readiness::limits::show),
        )
        .route(
            "/staff/readiness/limits",
            post_by(Programme).to(readiness::limits::save),
        )
        .route("/staff/members", get_by(Read).to(account::list::list))
        .route("/staff/members/{id}", get_by(Read).to(account::show::show))
        .route(
            "/staff/members/{id}/role",
            get_by(People).to(account::access::ask_role),
        )
        .route(
            "/staff/members/{id}/role",
            post_by(People).to(account::access::set_role),
        )
        .route(
            "/staff/members/{id}/{deed}",
            get_by(People).to(account::access::ask),
        )
        .route(
            "/staff/members/{id}/{deed}",
            post_by(People).to(account::access::act),
        )
        .route("/staff/mail", get_by(Read).to(mail::list))
        .route("/staff/mail/retry", get_by(Mail).to(mail::ask_retry))
        .route("/staff/mail/retry", post_by(Mail).to(mail::retry_all))
        .route("/staff/mail/{id}", get_by(Read).to(mail::show))
        .route("/staff/mail/{id}/retry", post_by(Mail).to(mail::retry))
        .route("/staff/audit", get_by(Read).to(audit::list))
        .route("/staff/audit.csv", get_by(Read).to(audit::csv))
        .route("/staff/audit/verify", get_by(Read).to(audit::verify))
        .route("/staff/programme/times", get_by(Read).to(move_times::show))
        .route(
            "/staff/programme/times",
            post_by(Programme).to(move_times::save),
        )
        .route("/staff/jobs", get_by(Read).to(job::list::list))
        .route("/staff/jobs/retry", get_by(Jobs).to(job::retry::ask))
        .route("/staff/jobs/retry", post_by(Jobs).to(job::retry::retry))
        .route("/staff/jobs/pauses", get_by(Read).to(job::pauses::show))
        .route("/staff/jobs/pauses", post_by(Jobs).to(job::pauses::pause))
        .route(
            "/staff/jobs/pauses/{id}/end",
            post_by(Jobs).to(job::pauses::end),
        )
        .route("/staff/jobs/{id}", get_by(Read).to(job::show::show))
        .route("/staff/jobs/{id}/retry", post_by(Jobs).to(job::show::retry));
}
