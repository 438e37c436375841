//! What accounts and their tokens may do, and who of the staff may do what.

use crate::string_enum;

string_enum! {
    pub enum UserRole { Member = "member", Staff = "staff" }
}
string_enum! {
    /// What an API token is good for.
    pub enum TokenScope { ReadOnly = "read_only", ReadWrite = "read_write" }
}
string_enum! {
    /// Of the staff, from the least to the most: each may do what those before it may.
    pub enum StaffRole { Viewer = "viewer", Support = "support", Operator = "operator", Owner = "owner" }
}
string_enum! {
    /// What staff can be allowed. Every route of theirs names one, and every use case of theirs asks for it.
    pub enum Right {
        /// See staff's pages, and change nothing.
        Read = "read",
        /// Review registrations, and offer a place.
        Registrations = "registrations",
        /// Triage bugs, and answer in their threads.
        Bugs = "bugs",
        /// Write the FAQ, and answer questions.
        Faq = "faq",
        /// Cancel, retry, try and roll back migrations.
        Moves = "moves",
        /// Give a failed job another try.
        Jobs = "jobs",
        /// Hosts and their agents, held Linodes, the portal's memory, and what takes two.
        Hosts = "hosts",
        Evacuation = "evacuation",
        Weights = "weights",
        Graduation = "graduation",
        /// Send failed mail again.
        Mail = "mail",
        /// The programme's state, limits, texts and times.
        Programme = "programme",
        /// Who can sign in, and who of the staff may do what.
        People = "people",
    }
}

/// The table: who has at least this role may.
pub fn least(right: Right) -> StaffRole {
    match right {
        Right::Read => StaffRole::Viewer,
        Right::Registrations | Right::Bugs | Right::Faq => StaffRole::Support,
        Right::Moves
        | Right::Jobs
        | Right::Hosts
        | Right::Evacuation
        | Right::Weights
        | Right::Graduation
        | Right::Mail => StaffRole::Operator,
        Right::Programme | Right::People => StaffRole::Owner,
    }
}

pub fn may(role: StaffRole, right: Right) -> bool {
    rank(role) >= rank(least(right))
}

/// Is whoever uses it asked again who they are, if they showed it long ago? What changes members' servers, who gets in, or
/// what everybody sees; a session that was left open is not enough for it.
pub fn asks_again(right: Right) -> bool {
    match right {
        Right::Registrations
        | Right::Moves
        | Right::Hosts
        | Right::Evacuation
        | Right::Graduation
        | Right::Programme
        | Right::People => true,
        Right::Read | Right::Bugs | Right::Faq | Right::Jobs | Right::Weights | Right::Mail => {
            false
        }
    }
}

fn rank(role: StaffRole) -> u8 {
    match role {
        StaffRole::Viewer => 0,
        StaffRole::Support => 1,
        StaffRole::Operator => 2,
        StaffRole::Owner => 3,
    }
}

/// What a role is for, as who gives it reads it.
pub fn role_words(role: StaffRole) -> &'static str {
    match role {
        StaffRole::Viewer => "sees all of staff’s pages and changes nothing",
        StaffRole::Support => "registrations and offers, bugs, the FAQ",
        StaffRole::Operator => {
            "what support may, and hosts, migrations and jobs, evacuation, weights, graduation, mail"
        }
        StaffRole::Owner => "everything, also the programme, people and their roles",
    }
}

/// What somebody with a right may do, after “may”.
pub fn right_words(right: Right) -> &'static str {
    match right {
        Right::Read => "see this page",
        Right::Registrations => "review registrations",
        Right::Bugs => "work on bugs",
        Right::Faq => "write the FAQ",
        Right::Moves => "change migrations",
        Right::Jobs => "retry jobs",
        Right::Hosts => "change hosts",
        Right::Evacuation => "empty hosts",
        Right::Weights => "change weights",
        Right::Graduation => "offer graduations",
        Right::Mail => "send mail again",
        Right::Programme => "change the programme",
        Right::People => "change people’s access",
    }
}

/// Why somebody may not, and who can change that.
pub fn refusal(right: Right, has: StaffRole) -> String {
    let (what, needs) = (right_words(right), least(right));
    let or_more = if needs == StaffRole::Owner {
        ""
    } else {
        " or a higher one"
    };
    format!(
        "It takes the role {needs}{or_more} to {what}; yours is {has}. An owner of this portal can give it to you."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::string_enum::StringEnum;

    #[test]
    fn each_role_may_what_those_below_it_may_and_nobody_but_an_owner_changes_people() {
        for (of, below) in StaffRole::ALL.iter().skip(1).zip(StaffRole::ALL) {
            let more = Right::those(|right| may(*of, right));
            assert!(
                Right::those(|right| may(*below, right))
                    .iter()
                    .all(|it| more.contains(it))
            );
            assert!(
                more.len() > Right::those(|right| may(*below, right)).len(),
                "{of}"
            );
        }
        assert_eq!(
            Right::those(|right| may(StaffRole::Viewer, right)),
            [Right::Read]
        );
        assert_eq!(
            Right::those(|right| may(StaffRole::Support, right)),
            [Right::Read, Right::Registrations, Right::Bugs, Right::Faq]
        );
        assert_eq!(
            Right::those(|right| !may(StaffRole::Operator, right)),
            [Right::Programme, Right::People]
        );
        assert_eq!(
            Right::those(|right| may(StaffRole::Owner, right)),
            Right::ALL
        );
    }
}
