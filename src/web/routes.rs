//! The whole surface on one screen.

use actix_web::web::{ServiceConfig, post, route};
use actix_web::{Route, guard};

use super::members::account::{self, mail_choices, sign_in, tokens};
use super::members::bug::{self, new, thread};
use super::members::linode::profile::{add_remove, edit};
use super::members::linode::{self, job_queue, power, rename};
use super::members::migration::{self, actions, start, unschedule};
use super::members::{fairness, faq, registration};
use super::public::{announcement, assets};
use super::{agent, ops, staff};

#[allow(clippy::too_many_lines, reason = "the whole surface on one screen")]
pub fn configure(surface: &mut ServiceConfig) {
    surface
        .configure(agent::configure)
        .route("/", get().to(announcement::show))
        .route("/health", get().to(ops::health))
        .route("/ready", get().to(ops::ready))
        .route("/metrics", get().to(ops::metrics))
        .route("/static/{name}", get().to(assets::serve))
        // Signing in.
        .route("/login", get().to(sign_in::login))
        .route("/login", post().to(sign_in::sign_in))
        .route("/logout", post().to(sign_in::sign_out))
        .route("/password/forgot", get().to(sign_in::forgot))
        .route("/password/forgot", post().to(sign_in::send_reset))
        .route("/password/forgot/sent", get().to(sign_in::forgot_sent))
        .route("/password/reset/{token}", get().to(sign_in::reset))
        .route("/password/reset/{token}", post().to(sign_in::set_password))
        // Members.
        .route("/members", get().to(linode::list::to_list))
        .route("/members/", get().to(linode::list::list))
        .route("/members/linodes/{id}", get().to(linode::show::show))
        .route("/members/linodes/{id}/boot", post().to(power::boot))
        .route("/members/linodes/{id}/reboot", post().to(power::reboot))
        .route(
            "/members/linodes/{id}/shutdown",
            get().to(power::ask_shutdown),
        )
        .route("/members/linodes/{id}/shutdown", post().to(power::shutdown))
        .route(
            "/members/linodes/{id}/console",
            post().to(power::read_console),
        )
        .route("/members/linodes/{id}/rename", get().to(rename::ask_label))
        .route("/members/linodes/{id}/rename", post().to(rename::rename))
        .route("/members/linodes/{id}/jobs", get().to(job_queue::history))
        .route(
            "/members/linodes/{id}/disks/{disk}",
            get().to(rename::ask_disk),
        )
        .route(
            "/members/linodes/{id}/disks/{disk}",
            post().to(rename::rename_disk),
        )
        .route(
            "/members/linodes/{id}/ips/{ip}",
            get().to(rename::ask_address),
        )
        .route(
            "/members/linodes/{id}/ips/{ip}",
            post().to(rename::name_address),
        )
        .route(
            "/members/linodes/{id}/profiles/new",
            get().to(add_remove::new),
        )
        .route(
            "/members/linodes/{id}/profiles/new",
            post().to(add_remove::add),
        )
        .route(
            "/members/linodes/{id}/profiles/{profile}/delete",
            get().to(add_remove::ask_delete),
        )
        .route(
            "/members/linodes/{id}/profiles/{profile}/delete",
            post().to(add_remove::delete),
        )
        .route(
            "/members/linodes/{id}/profiles/{profile}",
            get().to(edit::show),
        )
        .route(
            "/members/linodes/{id}/profiles/{profile}",
            post().to(edit::save),
        )
        .route("/members/linodes/{id}/migrate", get().to(start::show))
        .route("/members/linodes/{id}/migrate", post().to(start::migrate))
        .route("/members/migrations/{id}", get().to(migration::show::show))
        .route(
            "/members/migrations/{id}/events",
            get().to(migration::show::events),
        )
        .route(
            "/members/migrations/{id}/cancel",
            get().to(actions::ask_cancel),
        )
        .route(
            "/members/migrations/{id}/cancel",
            post().to(actions::cancel),
        )
        .route(
            "/members/migrations/{id}/confirm",
            get().to(actions::ask_confirm),
        )
        .route(
            "/members/migrations/{id}/confirm",
            post().to(actions::confirm),
        )
        .route(
            "/members/migrations/{id}/way-back",
            get().to(actions::ask_way_back),
        )
        .route(
            "/members/migrations/{id}/way-back",
            post().to(actions::way_back),
        )
        .route(
            "/members/migrations/{id}/unschedule",
            get().to(unschedule::ask_unschedule),
        )
        .route(
            "/members/migrations/{id}/unschedule",
            post().to(unschedule::unschedule),
        )
        .route("/members/migrations/{id}/retry", post().to(actions::retry))
        .route("/members/xenbeta", get().to(registration::show))
        .route("/members/xenbeta", post().to(registration::register))
        .route(
            "/members/xenbeta.cfm",
            get().to(registration::from_old_link),
        )
        .route(
            "/members/xenbeta/{id}/withdraw",
            get().to(registration::ask_withdraw),
        )
        .route(
            "/members/xenbeta/{id}/withdraw",
            post().to(registration::withdraw),
        )
        .route("/members/bugs", get().to(bug::list::list))
        .route("/members/bugs/new", get().to(new::show))
        .route("/members/bugs/new", post().to(new::open))
        .route("/members/bugs/{id}", get().to(thread::show))
        .route("/members/bugs/{id}", post().to(thread::reply))
        .route("/members/bugs/{id}/hit", post().to(thread::hit))
        .route("/members/bugs/{id}/unhit", post().to(thread::unhit))
        .route("/members/bugs/{id}/files/{file}", get().to(thread::file))
        .route("/faq", get().to(faq::public))
        .route("/members/faq", get().to(faq::show))
        .route("/members/faq", post().to(faq::ask))
        .route("/members/faq/{entry}", get().to(faq::to_entry))
        .route("/members/accounts", get().to(account::show::show))
        .route(
            "/members/accounts/profile",
            post().to(account::show::save_profile),
        )
        .route(
            "/members/accounts/password",
            post().to(account::show::change_password),
        )
        .route(
            "/members/accounts/notifications",
            post().to(mail_choices::save),
        )
        .route("/members/accounts/tokens", post().to(tokens::make))
        .route(
            "/members/accounts/tokens/{id}/revoke",
            get().to(tokens::ask_revoke),
        )
        .route(
            "/members/accounts/tokens/{id}/revoke",
            post().to(tokens::revoke),
        )
        .route(
            "/members/accounts/sessions/end-others",
            post().to(account::show::end_others),
        )
        .route(
            "/members/accounts/sessions/{id}/end",
            post().to(account::show::end_session),
        )
        .route("/members/fairness", get().to(fairness::show))
        .route("/members/fairness.csv", get().to(fairness::csv))
        // Staff.
        .route("/staff", get().to(staff::to_dashboard))
        .route("/staff/", get().to(staff::dashboard::show))
        .route(
            "/staff/registrations",
            get().to(staff::registration::list::list),
        )
        .route(
            "/staff/registrations.csv",
            get().to(staff::registration::list::csv),
        )
        .route(
            "/staff/registrations/review",
            get().to(staff::registration::bulk::review),
        )
        .route(
            "/staff/registrations/{deed}",
            post().to(staff::registration::bulk::act),
        )
        .route("/staff/migrations", get().to(staff::migration::list::list))
        .route(
            "/staff/migrations/{id}",
            get().to(staff::migration::list::show),
        )
        .route(
            "/staff/migrations/{id}/events",
            get().to(staff::migration::list::events),
        )
        .route(
            "/staff/migrations/{id}/{deed}",
            get().to(staff::migration::actions::ask),
        )
        .route(
            "/staff/migrations/{id}/{deed}",
            post().to(staff::migration::actions::act),
        )
        .route("/staff/held", get().to(staff::ownership::held::list))
        .route("/staff/held/{id}", get().to(staff::ownership::held::show))
        .route(
            "/staff/held/{id}/believe",
            get().to(staff::ownership::held::ask),
        )
        .route(
            "/staff/held/{id}/believe",
            post().to(staff::ownership::held::believe),
        )
        .route(
            "/staff/recovery",
            get().to(staff::ownership::recovery::show),
        )
        .route(
            "/staff/recovery/clock",
            get().to(staff::ownership::recovery::ask_clock),
        )
        .route(
            "/staff/recovery/clock",
            post().to(staff::ownership::recovery::clock_is_right),
        )
        .route("/staff/joint/{id}", get().to(staff::ownership::joint::show))
        .route(
            "/staff/joint/{id}",
            post().to(staff::ownership::joint::agree),
        )
        .route(
            "/staff/joint/{id}/withdraw",
            get().to(staff::ownership::joint::ask_withdraw),
        )
        .route(
            "/staff/joint/{id}/withdraw",
            post().to(staff::ownership::joint::withdraw),
        )
        .route(
            "/staff/hosts/{id}/joint/{kind}",
            get().to(staff::ownership::joint::form),
        )
        .route(
            "/staff/hosts/{id}/joint/{kind}",
            post().to(staff::ownership::joint::ask),
        )
        .route("/staff/hosts", get().to(staff::host::list::list))
        .route("/staff/hosts", post().to(staff::host::enrol::add))
        .route("/staff/hosts/new", get().to(staff::host::enrol::new))
        .route("/staff/hosts/{id}", get().to(staff::host::list::show))
        .route(
            "/staff/hosts/{id}/state",
            post().to(staff::host::list::set_state),
        )
        .route(
            "/staff/hosts/{id}/limits",
            post().to(staff::host::list::set_limits),
        )
        .route(
            "/staff/hosts/{id}/evacuate",
            get().to(staff::evacuation::plan::ask),
        )
        .route(
            "/staff/hosts/{id}/evacuate",
            post().to(staff::evacuation::plan::make),
        )
        .route(
            "/staff/hosts/{id}/token",
            get().to(staff::host::enrol::ask_token),
        )
        .route(
            "/staff/hosts/{id}/token",
            post().to(staff::host::enrol::make_token),
        )
        .route(
            "/staff/hosts/{id}/revoke",
            get().to(staff::host::enrol::ask_revoke),
        )
        .route(
            "/staff/hosts/{id}/revoke",
            post().to(staff::host::enrol::revoke),
        )
        .route(
            "/staff/hosts/{id}/fairness",
            get().to(staff::fairness::host::show),
        )
        .route(
            "/staff/hosts/{id}/fairness.csv",
            get().to(staff::fairness::host::csv),
        )
        .route("/staff/fairness", get().to(staff::fairness::list::list))
        .route("/staff/fairness.csv", get().to(staff::fairness::list::csv))
        .route(
            "/staff/fairness/weights",
            get().to(staff::fairness::weights::show),
        )
        .route(
            "/staff/fairness/weights/rule",
            post().to(staff::fairness::weights::save_rule),
        )
        .route(
            "/staff/fairness/weights/linode",
            post().to(staff::fairness::weights::save_linode),
        )
        .route("/staff/bugs", get().to(staff::bug::list::list))
        .route("/staff/bugs.csv", get().to(staff::bug::list::csv))
        .route("/staff/bugs/{id}", get().to(staff::bug::thread::show))
        .route("/staff/bugs/{id}", post().to(staff::bug::thread::triage))
        .route(
            "/staff/bugs/{id}/hide",
            get().to(staff::bug::moderation::ask),
        )
        .route(
            "/staff/bugs/{id}/hide",
            post().to(staff::bug::moderation::act),
        )
        .route(
            "/staff/bugs/{id}/reply",
            post().to(staff::bug::thread::reply),
        )
        .route("/staff/bugs/{id}/note", post().to(staff::bug::thread::note))
        .route(
            "/staff/bugs/{id}/explains",
            post().to(staff::bug::thread::explains),
        )
        .route(
            "/staff/bugs/{id}/files/{file}",
            get().to(staff::bug::thread::file),
        )
        .route("/staff/faq", get().to(staff::faq::list::list))
        .route("/staff/faq/new", get().to(staff::faq::list::new))
        .route("/staff/faq/new", post().to(staff::faq::list::add))
        .route("/staff/faq/{id}", get().to(staff::faq::list::edit))
        .route("/staff/faq/{id}", post().to(staff::faq::list::save))
        .route("/staff/faq/{id}/move", post().to(staff::faq::list::move_it))
        .route(
            "/staff/faq/{id}/retire",
            post().to(staff::faq::list::retire),
        )
        .route(
            "/staff/questions/{id}",
            get().to(staff::faq::list::question),
        )
        .route("/staff/questions/{id}", post().to(staff::faq::list::answer))
        .route("/staff/programme", get().to(staff::programme::show::show))
        .route("/staff/programme", post().to(staff::programme::show::save))
        .route("/staff/programme/end", get().to(staff::programme::end::ask))
        .route(
            "/staff/programme/end",
            post().to(staff::programme::end::end),
        )
        .route(
            "/staff/programme/texts/{section}",
            get().to(staff::programme::texts::show),
        )
        .route(
            "/staff/programme/texts/{section}",
            post().to(staff::programme::texts::save),
        )
        .route("/staff/graduation", get().to(staff::graduation::plan::list))
        .route(
            "/staff/graduation.csv",
            get().to(staff::graduation::plan::csv),
        )
        .route(
            "/staff/graduation/offer",
            get().to(staff::graduation::offer::ask),
        )
        .route(
            "/staff/graduation/offer",
            post().to(staff::graduation::offer::make),
        )
        .route("/staff/readiness", get().to(staff::readiness::show::show))
        .route(
            "/staff/readiness.csv",
            get().to(staff::readiness::show::csv),
        )
        .route("/staff/members", get().to(staff::account::list))
        .route("/staff/members/{id}", get().to(staff::account::show))
        .route("/staff/members/{id}/{deed}", get().to(staff::account::ask))
        .route("/staff/members/{id}/{deed}", post().to(staff::account::act))
        .route("/staff/mail", get().to(staff::mail::list))
        .route("/staff/mail/retry", get().to(staff::mail::ask_retry))
        .route("/staff/mail/retry", post().to(staff::mail::retry_all))
        .route("/staff/mail/{id}", get().to(staff::mail::show))
        .route("/staff/mail/{id}/retry", post().to(staff::mail::retry))
        .route("/staff/audit", get().to(staff::audit::list))
        .route("/staff/audit.csv", get().to(staff::audit::csv))
        .route("/staff/audit/verify", get().to(staff::audit::verify))
        .route(
            "/staff/programme/times",
            get().to(staff::programme::move_times::show),
        )
        .route(
            "/staff/programme/times",
            post().to(staff::programme::move_times::save),
        )
        .route("/staff/jobs", get().to(staff::job::list))
        .route("/staff/jobs/{id}", get().to(staff::job::show))
        .route("/staff/jobs/{id}/retry", post().to(staff::job::retry));
}

/// GET, and HEAD as the same without its body (which the server leaves out).
fn get() -> Route {
    route().guard(guard::Any(guard::Get()).or(guard::Head()))
}
