//! The whole surface on one screen.

use actix_web::web::{ServiceConfig, post, route};
use actix_web::{Route, guard};

use super::members::{
    account, beta, bugs, fairness, faq, linode, linodes, migrate, migration, notices, profile,
    profile_set, sign_in, tokens,
};
use super::{agent, announcement, assets, ops, staff};

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
        .route("/members", get().to(linodes::to_list))
        .route("/members/", get().to(linodes::list))
        .route("/members/linodes/{id}", get().to(linode::show))
        .route("/members/linodes/{id}/boot", post().to(linode::boot))
        .route("/members/linodes/{id}/reboot", post().to(linode::reboot))
        .route(
            "/members/linodes/{id}/shutdown",
            get().to(linode::ask_shutdown),
        )
        .route(
            "/members/linodes/{id}/shutdown",
            post().to(linode::shutdown),
        )
        .route(
            "/members/linodes/{id}/console",
            post().to(linode::read_console),
        )
        .route("/members/linodes/{id}/rename", get().to(linode::ask_label))
        .route("/members/linodes/{id}/rename", post().to(linode::rename))
        .route("/members/linodes/{id}/jobs", get().to(linode::history))
        .route(
            "/members/linodes/{id}/disks/{disk}",
            get().to(linode::ask_disk),
        )
        .route(
            "/members/linodes/{id}/disks/{disk}",
            post().to(linode::rename_disk),
        )
        .route(
            "/members/linodes/{id}/ips/{ip}",
            get().to(linode::ask_address),
        )
        .route(
            "/members/linodes/{id}/ips/{ip}",
            post().to(linode::name_address),
        )
        .route(
            "/members/linodes/{id}/profiles/new",
            get().to(profile_set::new),
        )
        .route(
            "/members/linodes/{id}/profiles/new",
            post().to(profile_set::add),
        )
        .route(
            "/members/linodes/{id}/profiles/{profile}/delete",
            get().to(profile_set::ask_delete),
        )
        .route(
            "/members/linodes/{id}/profiles/{profile}/delete",
            post().to(profile_set::delete),
        )
        .route(
            "/members/linodes/{id}/profiles/{profile}",
            get().to(profile::show),
        )
        .route(
            "/members/linodes/{id}/profiles/{profile}",
            post().to(profile::save),
        )
        .route("/members/linodes/{id}/migrate", get().to(migrate::show))
        .route("/members/linodes/{id}/migrate", post().to(migrate::migrate))
        .route("/members/migrations/{id}", get().to(migration::show))
        .route(
            "/members/migrations/{id}/events",
            get().to(migration::events),
        )
        .route(
            "/members/migrations/{id}/cancel",
            get().to(migration::ask_cancel),
        )
        .route(
            "/members/migrations/{id}/cancel",
            post().to(migration::cancel),
        )
        .route(
            "/members/migrations/{id}/confirm",
            get().to(migration::ask_confirm),
        )
        .route(
            "/members/migrations/{id}/confirm",
            post().to(migration::confirm),
        )
        .route(
            "/members/migrations/{id}/way-back",
            get().to(migration::ask_way_back),
        )
        .route(
            "/members/migrations/{id}/way-back",
            post().to(migration::way_back),
        )
        .route(
            "/members/migrations/{id}/unschedule",
            get().to(migration::ask_unschedule),
        )
        .route(
            "/members/migrations/{id}/unschedule",
            post().to(migration::unschedule),
        )
        .route(
            "/members/migrations/{id}/retry",
            post().to(migration::retry),
        )
        .route("/members/xenbeta", get().to(beta::show))
        .route("/members/xenbeta", post().to(beta::register))
        .route("/members/xenbeta.cfm", get().to(beta::from_old_link))
        .route(
            "/members/xenbeta/{id}/withdraw",
            get().to(beta::ask_withdraw),
        )
        .route("/members/xenbeta/{id}/withdraw", post().to(beta::withdraw))
        .route("/members/bugs", get().to(bugs::list))
        .route("/members/bugs/new", get().to(bugs::new::show))
        .route("/members/bugs/new", post().to(bugs::new::open))
        .route("/members/bugs/{id}", get().to(bugs::thread::show))
        .route("/members/bugs/{id}", post().to(bugs::thread::reply))
        .route("/members/bugs/{id}/hit", post().to(bugs::thread::hit))
        .route("/members/bugs/{id}/unhit", post().to(bugs::thread::unhit))
        .route(
            "/members/bugs/{id}/files/{file}",
            get().to(bugs::thread::file),
        )
        .route("/faq", get().to(faq::public))
        .route("/members/faq", get().to(faq::show))
        .route("/members/faq", post().to(faq::ask))
        .route("/members/faq/{entry}", get().to(faq::to_entry))
        .route("/members/accounts", get().to(account::show))
        .route(
            "/members/accounts/profile",
            post().to(account::save_profile),
        )
        .route(
            "/members/accounts/password",
            post().to(account::change_password),
        )
        .route("/members/accounts/notifications", post().to(notices::save))
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
            post().to(account::end_others),
        )
        .route(
            "/members/accounts/sessions/{id}/end",
            post().to(account::end_session),
        )
        .route("/members/fairness", get().to(fairness::show))
        .route("/members/fairness.csv", get().to(fairness::csv))
        // Staff.
        .route("/staff", get().to(staff::to_dashboard))
        .route("/staff/", get().to(staff::dashboard::show))
        .route("/staff/registrations", get().to(staff::registrations::list))
        .route(
            "/staff/registrations.csv",
            get().to(staff::registrations::csv),
        )
        .route("/staff/registrations/review", get().to(staff::bulk::review))
        .route("/staff/registrations/{deed}", post().to(staff::bulk::act))
        .route("/staff/migrations", get().to(staff::migrations::list))
        .route("/staff/migrations/{id}", get().to(staff::migrations::show))
        .route(
            "/staff/migrations/{id}/events",
            get().to(staff::migrations::events),
        )
        .route(
            "/staff/migrations/{id}/{deed}",
            get().to(staff::migrations::ask),
        )
        .route(
            "/staff/migrations/{id}/{deed}",
            post().to(staff::migrations::act),
        )
        .route("/staff/held", get().to(staff::held::list))
        .route("/staff/held/{id}", get().to(staff::held::show))
        .route("/staff/held/{id}/believe", get().to(staff::held::ask))
        .route("/staff/held/{id}/believe", post().to(staff::held::believe))
        .route("/staff/recovery", get().to(staff::recovery::show))
        .route(
            "/staff/recovery/clock",
            get().to(staff::recovery::ask_clock),
        )
        .route(
            "/staff/recovery/clock",
            post().to(staff::recovery::clock_is_right),
        )
        .route("/staff/joint/{id}", get().to(staff::joint::show))
        .route("/staff/joint/{id}", post().to(staff::joint::agree))
        .route(
            "/staff/joint/{id}/withdraw",
            get().to(staff::joint::ask_withdraw),
        )
        .route(
            "/staff/joint/{id}/withdraw",
            post().to(staff::joint::withdraw),
        )
        .route(
            "/staff/hosts/{id}/joint/{kind}",
            get().to(staff::joint::form),
        )
        .route(
            "/staff/hosts/{id}/joint/{kind}",
            post().to(staff::joint::ask),
        )
        .route("/staff/hosts", get().to(staff::hosts::list))
        .route("/staff/hosts", post().to(staff::hosts::add))
        .route("/staff/hosts/new", get().to(staff::hosts::new))
        .route("/staff/hosts/{id}", get().to(staff::hosts::show))
        .route(
            "/staff/hosts/{id}/state",
            post().to(staff::hosts::set_state),
        )
        .route(
            "/staff/hosts/{id}/limits",
            post().to(staff::hosts::set_limits),
        )
        .route(
            "/staff/hosts/{id}/evacuate",
            get().to(staff::hosts::evacuate::ask),
        )
        .route(
            "/staff/hosts/{id}/evacuate",
            post().to(staff::hosts::evacuate::make),
        )
        .route("/staff/hosts/{id}/token", get().to(staff::hosts::ask_token))
        .route(
            "/staff/hosts/{id}/token",
            post().to(staff::hosts::make_token),
        )
        .route(
            "/staff/hosts/{id}/revoke",
            get().to(staff::hosts::ask_revoke),
        )
        .route("/staff/hosts/{id}/revoke", post().to(staff::hosts::revoke))
        .route(
            "/staff/hosts/{id}/fairness",
            get().to(staff::fairness::host),
        )
        .route(
            "/staff/hosts/{id}/fairness.csv",
            get().to(staff::fairness::host_csv),
        )
        .route("/staff/fairness", get().to(staff::fairness::list))
        .route("/staff/fairness.csv", get().to(staff::fairness::csv))
        .route(
            "/staff/fairness/weights",
            get().to(staff::fairness::weights),
        )
        .route(
            "/staff/fairness/weights/rule",
            post().to(staff::fairness::save_rule),
        )
        .route(
            "/staff/fairness/weights/linode",
            post().to(staff::fairness::save_linode),
        )
        .route("/staff/bugs", get().to(staff::bugs::list))
        .route("/staff/bugs.csv", get().to(staff::bugs::csv))
        .route("/staff/bugs/{id}", get().to(staff::bugs::one::show))
        .route("/staff/bugs/{id}", post().to(staff::bugs::one::triage))
        .route("/staff/bugs/{id}/hide", get().to(staff::bugs::hide::ask))
        .route("/staff/bugs/{id}/hide", post().to(staff::bugs::hide::act))
        .route("/staff/bugs/{id}/reply", post().to(staff::bugs::one::reply))
        .route("/staff/bugs/{id}/note", post().to(staff::bugs::one::note))
        .route(
            "/staff/bugs/{id}/explains",
            post().to(staff::bugs::one::explains),
        )
        .route(
            "/staff/bugs/{id}/files/{file}",
            get().to(staff::bugs::one::file),
        )
        .route("/staff/faq", get().to(staff::faq::list))
        .route("/staff/faq/new", get().to(staff::faq::new))
        .route("/staff/faq/new", post().to(staff::faq::add))
        .route("/staff/faq/{id}", get().to(staff::faq::edit))
        .route("/staff/faq/{id}", post().to(staff::faq::save))
        .route("/staff/faq/{id}/move", post().to(staff::faq::move_it))
        .route("/staff/faq/{id}/retire", post().to(staff::faq::retire))
        .route("/staff/questions/{id}", get().to(staff::faq::question))
        .route("/staff/questions/{id}", post().to(staff::faq::answer))
        .route("/staff/programme", get().to(staff::programme::show))
        .route("/staff/programme", post().to(staff::programme::save))
        .route("/staff/programme/end", get().to(staff::ending::ask))
        .route("/staff/programme/end", post().to(staff::ending::end))
        .route(
            "/staff/programme/texts/{section}",
            get().to(staff::texts::show),
        )
        .route(
            "/staff/programme/texts/{section}",
            post().to(staff::texts::save),
        )
        .route("/staff/graduation", get().to(staff::graduation::list))
        .route("/staff/graduation.csv", get().to(staff::graduation::csv))
        .route("/staff/graduation/offer", get().to(staff::graduation::ask))
        .route(
            "/staff/graduation/offer",
            post().to(staff::graduation::make),
        )
        .route("/staff/readiness", get().to(staff::readiness::show))
        .route("/staff/readiness.csv", get().to(staff::readiness::csv))
        .route("/staff/members", get().to(staff::people::list))
        .route("/staff/members/{id}", get().to(staff::people::show))
        .route("/staff/members/{id}/{deed}", get().to(staff::people::ask))
        .route("/staff/members/{id}/{deed}", post().to(staff::people::act))
        .route("/staff/mail", get().to(staff::mail::list))
        .route("/staff/mail/retry", get().to(staff::mail::ask_retry))
        .route("/staff/mail/retry", post().to(staff::mail::retry_all))
        .route("/staff/mail/{id}", get().to(staff::mail::show))
        .route("/staff/mail/{id}/retry", post().to(staff::mail::retry))
        .route("/staff/audit", get().to(staff::audit::list))
        .route("/staff/audit.csv", get().to(staff::audit::csv))
        .route("/staff/audit/verify", get().to(staff::audit::verify))
        .route("/staff/programme/times", get().to(staff::times::show))
        .route("/staff/programme/times", post().to(staff::times::save))
        .route("/staff/jobs", get().to(staff::jobs::list))
        .route("/staff/jobs/{id}", get().to(staff::jobs::show))
        .route("/staff/jobs/{id}/retry", post().to(staff::jobs::retry));
}

/// GET, and HEAD as the same without its body (which the server leaves out).
fn get() -> Route {
    route().guard(guard::Any(guard::Get()).or(guard::Head()))
}
