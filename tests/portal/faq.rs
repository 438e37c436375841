//! The FAQ through the front door: members ask, staff answer, write, order and retire.

use xenbeta::domain::mail::MailKind;
use xenbeta::store::error::StoreError;

use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL};

const OTHER_EMAIL: &str = "otto@example.com";

fn answers(app: &TestApp) -> Vec<(String, String, String)> {
    use diesel::prelude::*;
    use xenbeta::store::schema::outbox;
    app.in_db(|conn| {
        Ok::<_, StoreError>(
            outbox::table
                .filter(outbox::kind.eq(MailKind::QuestionAnswered.to_string()))
                .order(outbox::id)
                .select((outbox::recipient, outbox::subject, outbox::text_body))
                .load(conn)?,
        )
    })
}

both_databases! {
    fn a_question_becomes_an_entry_or_a_private_answer(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let (mut mia, mut otto, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(OTHER_EMAIL), site.signed_in(STAFF_EMAIL));
        let page = mia.get("/members/faq");
        page.shows(&["Questions and answers", "There are none yet."]);
        let empty = mia.submit(&page, "Ask", &[("question", " ")]);
        assert_eq!(empty.status, 422);
        let reply = mia.submit(&page, "Ask", &[("question", "May I use NPTL\r\n<script>alert(1)</script>?")]);
        mia.follow(&reply).shows(&["Your question is with our staff", "It waits for an answer."]);
        mia.submit(&page, "Ask", &[("question", "May I use NPTL?")]);
        let page = otto.get("/members/faq");
        page.hides(&["NPTL"]);
        otto.submit(&page, "Ask", &[("question", "Why is my invoice wrong?")]);

        let list = staff.get("/staff/faq");
        list.shows(&["Questions that wait (2)", "Why is my invoice wrong?"]);
        let question = staff.get(&list.link("May I use NPTL <script>alert(1)</script>?"));
        question.shows(&["Mia", "asked"]);
        let preview = staff.submit(&question, "Preview", &[("question", "May I use NPTL?"), ("answer", "**Yes**, see [here](javascript:alert(1)).")]);
        preview.shows(&["Preview", "Yes , see here."]);
        assert!(preview.body.contains("<strong>Yes</strong>, see here.") && !preview.body.contains("href=\"javascript"), "{}", preview.body);
        let refused = staff.submit(&question, "Publish as an entry", &[("answer", ""), ("dated", "soon")]);
        assert_eq!(refused.status, 422);
        refused.says(&["Enter the answer", "Enter a date like"]);
        let late = staff.get(&question.path);
        let reply = staff.submit(&preview, "Publish as an entry", &[("dated", "2026-11-20")]);
        staff.follow(&reply).shows(&["It is an entry now", "Questions that wait (1)", "May I use NPTL?"]);
        let late = staff.submit(&late, "Answer in private", &[("answer", "No.")]);
        assert_eq!(late.status, 409);
        late.says(&["Sam has answered this question already", "Back to the FAQ"]);
        assert_eq!(staff.get(&question.path).status, 409);

        let private = staff.get(&list.link("Why is my invoice wrong?"));
        let reply = staff.submit(&private, "Answer in private", &[("answer", "It was *our* slip.")]);
        staff.follow(&reply).shows(&["Who asked gets your answer"]);
        let page = otto.get("/members/faq");
        page.shows(&["Our answer, to you alone:", "It was our slip.", "May I use NPTL?", "20 Nov 2026"]);
        let page = mia.get("/members/faq");
        page.shows(&["It is answered above"]).hides(&["our slip", "invoice"]);
        assert_eq!(page.link("May I use NPTL?"), "/members/faq#may-i-use-nptl");
        assert_eq!(page.attribute("#may-i-use-nptl", "id").unwrap(), "may-i-use-nptl");

        // Mail with a deep link that survives signing in.
        let mails = answers(&app);
        let to: Vec<&str> = mails.iter().map(|(to, ..)| to.as_str()).collect();
        assert_eq!(to, [MEMBER_EMAIL, OTHER_EMAIL]);
        assert!(mails[0].2.contains("/members/faq/may-i-use-nptl"), "{mails:?}");
        assert!(mails[1].2.contains("/members/faq/question-") && mails[1].2.contains("It was *our* slip."), "{mails:?}");
        let mut visitor = site.visitor();
        assert_eq!(visitor.get("/members/faq/may-i-use-nptl").location, "/login?next=/members/faq/may-i-use-nptl");
        assert_eq!(mia.get("/members/faq/may-i-use-nptl").location, "/members/faq#may-i-use-nptl");
        assert_eq!(mia.get("/members/faq/%2f%2fevil").status, 404);
        // Readable by everybody, without anybody's questions.
        visitor.get("/faq").shows(&["May I use NPTL?", "Yes , see here.", "sign in to ask"]).hides(&["invoice", "Your question"]);
    }

    fn staff_write_order_and_retire(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let (mut staff, mut other) = (site.signed_in(STAFF_EMAIL), site.signed_in(STAFF_EMAIL));
        for (question, answer) in [("What is Xen?", "A hypervisor."), ("What is ionice?", "# Classes\n\nOf disks."), ("What is Xen?", "Asked again.")] {
            let form = staff.get("/staff/faq/new");
            let reply = staff.submit(&form, "Save the entry", &[("question", question), ("answer", answer)]);
            assert_eq!(reply.status, 303);
            staff.submit(&form, "Save the entry", &[("question", question), ("answer", answer)]);
        }
        let mut visitor = site.visitor();
        let order = |page: &crate::browser::Reply| -> Vec<usize> {
            ["A hypervisor.", "Of disks.", "Asked again."].iter().map(|text| page.body.find(text).unwrap_or(0)).collect()
        };
        let page = visitor.get("/faq");
        let places = order(&page);
        assert!(places[0] > 0 && places[0] < places[1] && places[1] < places[2], "{places:?}");
        assert!(page.body.contains("id=\"what-is-xen\"") && page.body.contains("id=\"what-is-xen-2\"") && page.body.contains("<h3>Classes</h3>"), "{}", page.body);
        // Up twice, the second of which does nothing; down past the end.
        let list = staff.get("/staff/faq");
        staff.submit(&list, "Up: What is ionice?", &[]);
        let (_, action, fields) = list.form("Up: What is ionice?", &[]);
        assert_eq!(staff.post(&action, &fields).status, 303);
        let places = order(&visitor.get("/faq"));
        assert!(places[1] < places[0] && places[0] < places[2], "{places:?}");
        // Search, by the beginnings of words.
        visitor.get("/faq?q=hyperv").shows(&["A hypervisor."]).hides(&["Of disks."]);
        visitor.get("/faq?q=%22+OR+*").shows(&["No answer has these words."]);
        visitor.get("/faq?q=%22*").shows(&["A hypervisor.", "Of disks."]);
        // Two edit at once.
        let list = staff.get("/staff/faq");
        let url = list.link("What is ionice?");
        let (first, second) = (staff.get(&url), other.get(&url));
        assert_eq!(staff.submit(&first, "Save the entry", &[("answer", "Of schedulers.")]).status, 303);
        let late = other.submit(&second, "Save the entry", &[("answer", "Of queues.")]);
        assert_eq!(late.status, 409);
        late.says(&["Someone else changed this entry"]);
        visitor.get("/faq?q=schedulers").shows(&["What is ionice?"]);
        visitor.get("/faq?q=disks").shows(&["No answer has these words."]);
        // Retired and put back, with the same anchor.
        let list = staff.get("/staff/faq");
        staff.submit(&list, "Retire: What is ionice?", &[]);
        visitor.get("/faq").hides(&["ionice"]);
        visitor.get("/faq?q=schedulers").shows(&["No answer has these words."]);
        let list = staff.get("/staff/faq");
        staff.submit(&list, "Put back: What is ionice?", &[]);
        let page = visitor.get("/faq?q=schedulers");
        page.shows(&["What is ionice?"]);
        assert!(page.body.contains("id=\"what-is-ionice\""));
        for foul in ["sideways", ""] {
            let (_, action, mut fields) = list.form("Put back: What is ionice?", &[]);
            fields.retain(|(name, _)| name == "csrf");
            fields.push(("do".to_owned(), foul.to_owned()));
            assert_eq!(staff.post(&action, &fields).status, 400);
        }
    }

    fn questions_are_bounded(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut mia = site.signed_in(MEMBER_EMAIL);
        for n in 0..5 {
            let page = mia.get("/members/faq");
            assert_eq!(mia.submit(&page, "Ask", &[("question", &format!("Question {n}"))]).status, 303);
        }
        let page = mia.get("/members/faq");
        let refused = mia.submit(&page, "Ask", &[("question", "One more")]);
        assert_eq!(refused.status, 422);
        refused.says(&["You have asked 5 questions within an hour", "One more"]);
        let long = "x".repeat(1001);
        let refused = mia.submit(&page, "Ask", &[("question", &long)]);
        refused.says(&["1000 characters or fewer"]);
    }
}
