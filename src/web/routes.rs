//! The whole surface on one screen.

use actix_web::web::{ServiceConfig, post, route};
use actix_web::{Route, guard};

use super::members::account::{self, mail_choices, sign_in, tokens};
use super::members::bug::{self, new, thread};
use super::members::linode::profile::{add_remove, edit};
use super::members::linode::{self, check, job_queue, power, rename};
use super::members::migration::{self, actions, start};
use super::members::{fairness, faq, registration};
use super::public::{announcement, assets, receipt_keys};
use super::{agent, ops};

#[allow(clippy::too_many_lines, reason = "one table")]
pub fn configure(surface: &mut ServiceConfig) {
    surface
        .configure(agent::configure)
        .route("/", get().to(announcement::show))
        .route("/health", get().to(ops::health))
        .route("/ready", get().to(ops::ready))
        .route("/metrics", get().to(ops::metrics))
        .route("/static/{name}", get().to(assets::serve))
        .route("/receipt-keys.json", get().to(receipt_keys::list))
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
        .route(
            "/members/linodes/{id}/never-both",
            get().to(rename::ask_group),
        )
        .route(
            "/members/linodes/{id}/never-both",
            post().to(rename::name_group),
        )
        .route("/members/linodes/{id}/checks", get().to(check::show))
        .route("/members/linodes/{id}/checks", post().to(check::add))
        .route(
            "/members/linodes/{id}/checks/remove",
            post().to(check::remove),
        )
        .route("/members/linodes/{id}/checks/ask", post().to(check::ask))
        .route("/members/linodes/{id}/checks/plan", post().to(check::plan))
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
            "/members/migrations/{id}/receipt",
            get().to(migration::receipt::show),
        )
        .route(
            "/members/migrations/{id}/receipt.json",
            get().to(migration::receipt::file),
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
            get().to(actions::ask_unschedule),
        )
        .route(
            "/members/migrations/{id}/unschedule",
            post().to(actions::unschedule),
        )
        .route("/members/migrations/{id}/retry", post().to(actions::retry))
        .route("/members/migrations/{id}/try", get().to(actions::ask_trial))
        .route(
            "/members/migrations/{id}/try",
            post().to(actions::begin_trial),
        )
        .route("/members/xenbeta", get().to(registration::show::show))
        .route("/members/xenbeta", post().to(registration::act::register))
        .route(
            "/members/xenbeta.cfm",
            get().to(registration::show::from_old_link),
        )
        .route(
            "/members/xenbeta/{id}/withdraw",
            get().to(registration::act::ask_withdraw),
        )
        .route(
            "/members/xenbeta/{id}/withdraw",
            post().to(registration::act::withdraw),
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
        .route("/members/fairness", get().to(fairness::show::show))
        .route("/members/fairness.csv", get().to(fairness::show::csv));
    configure_staff(surface);
}

#[allow(clippy::too_many_lines, reason = "one table")]
fn configure_staff(surface: &mut ServiceConfig) {
    use super::staff::bug::{self, moderation};
    use super::staff::evacuation::plan;
    use super::staff::fairness::{self, weights};
    use super::staff::graduation::{self, offer};
    use super::staff::host::{self, enrol};
    use super::staff::ownership::{held, joint, recovery};
    use super::staff::programme::{self, end, move_times, texts};
    use super::staff::registration::{self, bulk};
    use super::staff::{
        account, audit, dashboard, faq, job, mail, migration, readiness, to_dashboard,
    };

    surface
        .route("/staff", get().to(to_dashboard))
        .route("/staff/", get().to(dashboard::show))
        .route("/staff/registrations", get().to(registration::list::list))
        .route(
            "/staff/registrations.csv",
            get().to(registration::list::csv),
        )
        .route("/staff/registrations/review", get().to(bulk::review))
        .route("/staff/registrations/{deed}", post().to(bulk::act))
        .route("/staff/migrations", get().to(migration::list::list))
        .route("/staff/migrations/{id}", get().to(migration::show::show))
        .route(
            "/staff/migrations/{id}/events",
            get().to(migration::show::events),
        )
        .route(
            "/staff/migrations/{id}/receipt",
            get().to(migration::receipt::show),
        )
        .route(
            "/staff/migrations/{id}/receipt.json",
            get().to(migration::receipt::file),
        )
        .route(
            "/staff/migrations/{id}/{deed}",
            get().to(migration::actions::ask),
        )
        .route(
            "/staff/migrations/{id}/{deed}",
            post().to(migration::actions::act),
        )
        .route("/staff/held", get().to(held::list))
        .route("/staff/held/{id}", get().to(held::show))
        .route("/staff/held/{id}/believe", get().to(held::ask))
        .route("/staff/held/{id}/believe", post().to(held::believe))
        .route("/staff/recovery", get().to(recovery::show))
        .route("/staff/recovery/clock", get().to(recovery::ask_clock))
        .route("/staff/recovery/clock", post().to(recovery::clock_is_right))
        .route("/staff/joint/{id}", get().to(joint::show))
        .route("/staff/joint/{id}", post().to(joint::agree))
        .route("/staff/joint/{id}/withdraw", get().to(joint::ask_withdraw))
        .route("/staff/joint/{id}/withdraw", post().to(joint::withdraw))
        .route("/staff/hosts/{id}/joint/{kind}", get().to(joint::form))
        .route("/staff/hosts/{id}/joint/{kind}", post().to(joint::ask))
        .route("/staff/hosts", get().to(host::list::list))
        .route("/staff/hosts", post().to(enrol::add))
        .route("/staff/hosts/new", get().to(enrol::new))
        .route("/staff/hosts/{id}", get().to(host::show::show))
        .route("/staff/hosts/{id}/state", post().to(host::show::set_state))
        .route(
            "/staff/hosts/{id}/limits",
            post().to(host::show::set_limits),
        )
        .route("/staff/hosts/{id}/evacuate", get().to(plan::ask))
        .route("/staff/hosts/{id}/evacuate", post().to(plan::make))
        .route("/staff/hosts/{id}/token", get().to(enrol::ask_token))
        .route("/staff/hosts/{id}/token", post().to(enrol::make_token))
        .route("/staff/hosts/{id}/revoke", get().to(enrol::ask_revoke))
        .route("/staff/hosts/{id}/revoke", post().to(enrol::revoke))
        .route("/staff/hosts/{id}/fairness", get().to(fairness::host::show))
        .route(
            "/staff/hosts/{id}/fairness.csv",
            get().to(fairness::host::csv),
        )
        .route("/staff/fairness", get().to(fairness::list::list))
        .route("/staff/fairness.csv", get().to(fairness::list::csv))
        .route("/staff/fairness/weights", get().to(weights::show))
        .route(
            "/staff/fairness/weights/rule",
            post().to(weights::save_rule),
        )
        .route(
            "/staff/fairness/weights/linode",
            post().to(weights::save_linode),
        )
        .route("/staff/bugs", get().to(bug::list::list))
        .route("/staff/bugs.csv", get().to(bug::list::csv))
        .route("/staff/bugs/{id}", get().to(bug::thread::show))
        .route("/staff/bugs/{id}", post().to(bug::thread::triage))
        .route("/staff/bugs/{id}/hide", get().to(moderation::ask))
        .route("/staff/bugs/{id}/hide", post().to(moderation::act))
        .route("/staff/bugs/{id}/reply", post().to(bug::thread::reply))
        .route("/staff/bugs/{id}/note", post().to(bug::thread::note))
        .route(
            "/staff/bugs/{id}/explains",
            post().to(bug::thread::explains),
        )
        .route("/staff/bugs/{id}/files/{file}", get().to(bug::thread::file))
        .route("/staff/faq", get().to(faq::list::list))
        .route("/staff/faq/new", get().to(faq::edit::new))
        .route("/staff/faq/new", post().to(faq::edit::add))
        .route("/staff/faq/{id}", get().to(faq::edit::edit))
        .route("/staff/faq/{id}", post().to(faq::edit::save))
        .route("/staff/faq/{id}/move", post().to(faq::list::move_it))
        .route("/staff/faq/{id}/retire", post().to(faq::list::retire))
        .route("/staff/questions/{id}", get().to(faq::edit::question))
        .route("/staff/questions/{id}", post().to(faq::edit::answer))
        .route("/staff/programme", get().to(programme::show::show))
        .route("/staff/programme", post().to(programme::show::save))
        .route("/staff/programme/end", get().to(end::ask))
        .route("/staff/programme/end", post().to(end::end))
        .route("/staff/programme/texts/{section}", get().to(texts::show))
        .route("/staff/programme/texts/{section}", post().to(texts::save))
        .route("/staff/graduation", get().to(graduation::plan::list))
        .route("/staff/graduation.csv", get().to(graduation::plan::csv))
        .route("/staff/graduation/offer", get().to(offer::ask))
        .route("/staff/graduation/offer", post().to(offer::make))
        .route("/staff/readiness", get().to(readiness::show::show))
        .route("/staff/readiness.csv", get().to(readiness::show::csv))
        .route("/staff/members", get().to(account::list))
        .route("/staff/members/{id}", get().to(account::show))
        .route("/staff/members/{id}/{deed}", get().to(account::ask))
        .route("/staff/members/{id}/{deed}", post().to(account::act))
        .route("/staff/mail", get().to(mail::list))
        .route("/staff/mail/retry", get().to(mail::ask_retry))
        .route("/staff/mail/retry", post().to(mail::retry_all))
        .route("/staff/mail/{id}", get().to(mail::show))
        .route("/staff/mail/{id}/retry", post().to(mail::retry))
        .route("/staff/audit", get().to(audit::list))
        .route("/staff/audit.csv", get().to(audit::csv))
        .route("/staff/audit/verify", get().to(audit::verify))
        .route("/staff/programme/times", get().to(move_times::show))
        .route("/staff/programme/times", post().to(move_times::save))
        .route("/staff/jobs", get().to(job::list))
        .route("/staff/jobs/{id}", get().to(job::show))
        .route("/staff/jobs/{id}/retry", post().to(job::retry));
}

/// GET, and HEAD as the same without its body (which the server leaves out).
fn get() -> Route {
    route().guard(guard::Any(guard::Get()).or(guard::Head()))
}
