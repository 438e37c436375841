//! Forms that came too late, or were too large: what was typed is not lost.

use crate::both_databases;
use crate::browser::Site;
use crate::support::fleet::{MEMBER_EMAIL, PASSWORD};

both_databases! {
    fn an_expired_form_keeps_its_text_and_is_sent_again(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let form = member.get("/members/bugs/new?title=No+network&linode=101");
        let text = "First line\n  second, indented";
        let fields = [("happened", text), ("reproduce", "Boot it")];
        // Signed in anew meanwhile, in another window.
        member.cookies = site.signed_in(MEMBER_EMAIL).cookies;
        let late = member.upload(&form, "Open the bug", &fields, &[("a.txt", b"a file")]);
        assert_eq!(late.status, 403);
        late.says(&["This form has expired", "they have to be added anew"]).hides(&["once", "seen", "Copy what you need"]);
        late.says_at("dt", &["What it is about", "What happened", "How to make it happen again", "Part"]);
        assert!(late.body.contains(&format!("<dd class=\"typed\">{text}</dd>")), "lines stay lines: {}", late.body);
        let reply = member.submit(&late, "Send it again", &[]);
        let bug = member.follow(&reply);
        bug.shows(&["No network", "second, indented", "Boot it", "About the Linode"]);
        assert_eq!(member.submit(&late, "Send it again", &[]).location, reply.location, "twice is once");

        // Signed out meanwhile: sign in there, and send it.
        let page = member.get("/members/accounts");
        let cookies = member.cookies.clone();
        member.submit(&page, "Sign out", &[]);
        member.cookies = cookies;
        let late = member.submit(&page, "Save profile", &[("name", "Typed with care")]);
        assert_eq!(late.status, 403);
        late.says(&["Sign in, and send it again", "Typed with care"]);
        let wrong = member.submit(&late, "Sign in", &[("email", MEMBER_EMAIL), ("password", "not the right one")]);
        assert_eq!(wrong.status, 422);
        wrong.says(&["What you typed is kept"]);
        let signed_in = member.submit(&wrong, "Sign in", &[("email", MEMBER_EMAIL), ("password", PASSWORD)]);
        signed_in.shows(&["You are signed in", "Typed with care", "Time zone"]);
        let reply = member.submit(&signed_in, "Send it again", &[]);
        member.follow(&reply).shows(&["Your profile is saved"]);
        assert_eq!(member.get("/members/accounts").attribute("#name", "value").unwrap(), "Typed with care");

        // What holds a password is not carried about, and what leads elsewhere leads nowhere.
        let page = member.get("/members/accounts");
        member.cookies = site.signed_in(MEMBER_EMAIL).cookies;
        let late = member.submit(&page, "Change password", &[("password", "my old password"), ("new_password", "my new password")]);
        assert_eq!(late.status, 403);
        late.hides(&["Send it again"]);
        assert!(!late.body.contains("my old") && !late.body.contains("my new"));
        let mut visitor = site.visitor();
        let login = visitor.get("/login");
        let (_, action, mut fields) = login.form("Sign in", &[("email", MEMBER_EMAIL), ("password", PASSWORD)]);
        for (name, value) in [("again", "https://evil.test/"), ("typed", "W1siYSIsImIiXV0")] {
            fields.push((name.to_owned(), value.to_owned()));
        }
        visitor.post(&action, &fields).shows(&["You are signed in"]).hides(&["Send it again Send it again", "evil"]);
        // Nor does who asks for a link to a new password have to sign in first.
        let mut forgot = site.visitor();
        let page = forgot.get("/password/forgot");
        forgot.cookies.clear();
        let late = forgot.submit(&page, "Send the link", &[("email", MEMBER_EMAIL)]);
        let reply = forgot.submit(&late, "Send it again", &[]);
        assert_eq!(reply.location, "/password/forgot/sent");
    }

    fn what_is_too_large_is_shown_again_as_far_as_it_came(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let form = member.get("/members/bugs/new?title=No+network");
        let long = format!("The beginning {}", "x".repeat(80_000));
        let fields = [("happened", long.as_str()), ("reproduce", "Boot it")];
        for refused in [member.submit(&form, "Open the bug", &fields), member.upload(&form, "Open the bug", &fields, &[])] {
            assert_eq!(refused.status, 413);
            refused.says(&["That is too large", "What happened", "The beginning xxx", "Copy what you need", "Below is what arrived of it"]);
            refused.hides(&["Send it again"]);
            assert!(refused.body.len() > 60_000, "{}", refused.body.len());
        }
    }
}
