//! The surface for everybody and for members; staff's is in [`super::staff::routes`].

use actix_web::web::{ServiceConfig, post};

use super::members::account::{self, code, mail_choices, second_factor, sign_in, tokens};
use super::members::bug::{self, new, thread};
use super::members::linode::profile::{add_remove, edit};
use super::members::linode::{self, check, job_queue, power, rename};
use super::members::migration::{self, actions, start};
use super::members::{fairness, faq, registration};
use super::method::get;
use super::public::{announcement, assets, receipt_keys};
use super::{agent, ops, staff, v4};

#[allow(clippy::too_many_lines, reason = "one table")]
pub fn configure(surface: &mut ServiceConfig) {
    surface
        .configure(agent::configure)
        .configure(v4::configure)
        .route("/", get().to(announcement::show))
        .route("/health", get().to(ops::health))
        .route("/ready", get().to(ops::ready))
        .route("/metrics", get().to(ops::metrics))
        .route("/static/{name}", get().to(assets::serve))
        .route("/receipt-keys.json", get().to(receipt_keys::list))
        // Signing in.
        .route("/login", get().to(sign_in::login))
        .route("/login", post().to(sign_in::sign_in))
        .route("/login/code", get().to(code::to_sign_in))
        .route("/login/code", post().to(code::sign_in))
        .route("/again", get().to(code::ask_again))
        .route("/again", post().to(code::prove))
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
        .route(
            "/members/migrations/{id}/untried",
            get().to(actions::ask_untried),
        )
        .route(
            "/members/migrations/{id}/untried",
            post().to(actions::go_on_untried),
        )
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
        .route(
            "/members/accounts/second-factor",
            get().to(second_factor::show),
        )
        .route(
            "/members/accounts/second-factor/setup",
            get().to(second_factor::begin),
        )
        .route(
            "/members/accounts/second-factor/setup",
            post().to(second_factor::set),
        )
        .route(
            "/members/accounts/second-factor/remove",
            get().to(second_factor::ask_remove),
        )
        .route(
            "/members/accounts/second-factor/remove",
            post().to(second_factor::remove),
        )
        .route(
            "/members/accounts/second-factor/codes",
            get().to(second_factor::ask_codes),
        )
        .route(
            "/members/accounts/second-factor/codes",
            post().to(second_factor::make_codes),
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
    staff::routes::configure(surface);
}
