//! How a host's agent gets its credential, and what that is good for.

use xenbeta::app::context::PORTAL;
use xenbeta::app::error::AppError;
use xenbeta::app::secrets::{self, purpose};
use xenbeta::domain::platform::Platform;
use xenbeta::wire::{Enrol, Enrolled};

use crate::both_databases;
use crate::browser::Site;
use crate::races::judge::count;
use crate::support::TestApp;
use crate::support::fleet::UML2;
use crate::support::hand;

fn enrol(app: &TestApp, token: &str) -> Result<Enrolled, AppError> {
    let ask = Enrol {
        token: token.to_owned(),
        platform: Platform::Uml,
        agent_version: "1".to_owned(),
        fingerprint: "2".repeat(64),
        transfer_address: "127.0.0.1:7002".to_owned(),
        ledger: None,
    };
    app.enrol(&ask, "192.0.2.9")
}

both_databases! {
    fn an_enrolment_token_is_good_once_for_fifteen_minutes_and_spoils_the_older(app: TestApp) {
        let app = app.with_fleet();
        let token = || app.new_enrolment_token(PORTAL, UML2).unwrap();
        let refused = |token: &str| matches!(enrol(&app, token), Err(AppError::Forbidden));
        let (older, newer) = (token(), token());
        assert!(refused(&older) && refused("never given"));
        assert_eq!(count(&app, &format!("enrolment_tokens WHERE hash = '{}'", secrets::hash(purpose::ENROLMENT, &newer))), 1);
        assert_eq!(enrol(&app, &newer).unwrap().host, UML2);
        assert!(refused(&newer), "once");
        let late = token();
        app.pass_s(15 * 60);
        assert!(refused(&late));
    }

    fn a_credential_ends_when_it_is_revoked_or_its_next_one_is_used(app: TestApp) {
        let app = app.with_fleet();
        let first = enrol(&app, &app.new_enrolment_token(PORTAL, UML2).unwrap()).unwrap().credential;
        let host = |credential: &str| app.agent(credential).unwrap().map(|agent| agent.host);
        let next = app.rotate_credential(&hand::agent(UML2)).unwrap().credential;
        assert_eq!([host(&first), host(&first)], [Some(UML2); 2], "until the new one is used");
        assert_eq!([host(&next), host(&first)], [Some(UML2), None]);
        assert_eq!(count(&app, &format!("hosts WHERE credential_hash = '{}'", secrets::hash(purpose::AGENT, &next))), 1);
        let site = Site::serve(&app.app);
        assert_ne!(site.visitor().agents_call("/agent/v1/poll", &next).status, 401);
        app.revoke_host(&app.staff(), UML2).unwrap();
        assert_eq!(site.visitor().agents_call("/agent/v1/poll", &next).status, 401, "the very next request");
    }
}
