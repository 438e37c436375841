//! Who can go in a wave, by filter or by name.

use std::collections::BTreeSet;

use super::MOST;
use crate::app::error::{AppError, Result};
use crate::domain::evacuation;
use crate::domain::graduation;
use crate::domain::host::HostRole;
use crate::domain::ids::{HostId, PlanId};
use crate::domain::registration::RegistrationState;
use crate::domain::wave::{Candidate, WaveKind};
use crate::store;
use crate::store::db::Db;
use crate::store::graduation::Which;
use crate::store::registration::list::RegistrationFilter;

/// Whom a wave is for.
#[derive(Debug, Clone, Default)]
pub struct Whom {
    pub plan: Option<PlanId>,
    /// As of the list of registrations.
    pub text: String,
    /// Nobody but these, by their Linodes' labels, between blanks, commas or lines; nothing: all.
    pub only: String,
    /// Of an evacuation: all that are on it.
    pub host: Option<HostId>,
}

impl Whom {
    fn named(&self) -> BTreeSet<&str> {
        let ends = |c: char| c.is_whitespace() || c == ',' || c == ';';
        self.only.split(ends).filter(|it| !it.is_empty()).collect()
    }
}

/// Those that could be given something now, and wait in no other wave.
pub(super) fn candidates(conn: &mut Db, kind: WaveKind, whom: &Whom) -> Result<Vec<Candidate>> {
    let mut all = match kind {
        WaveKind::Beta => into_beta(conn, whom)?,
        WaveKind::Graduation => out_of_beta(conn, whom)?,
        WaveKind::Evacuation => off_host(conn, whom)?,
    };
    let named = whom.named();
    if !named.is_empty() {
        let labels: BTreeSet<&str> = all.iter().map(|it| it.label.as_str()).collect();
        if let Some(unknown) = named.iter().find(|it| !labels.contains(**it)) {
            let message = format!("No Linode “{unknown}” can go in this wave now");
            return Err(AppError::invalid("only", message));
        }
        let kept: Vec<bool> = (all.iter())
            .map(|it| named.contains(it.label.as_str()))
            .collect();
        let mut kept = kept.into_iter();
        all.retain(|_| kept.next() == Some(true));
    }
    let taken = store::wave::taken(conn)?;
    let found = all.len();
    all.retain(|it| !taken.contains(&it.linode));
    if all.is_empty() {
        let message = if found == 0 {
            "No Linode can go in such a wave now"
        } else {
            "All of these wait in other waves"
        };
        return Err(AppError::invalid("kind", message));
    }
    if all.len() > MOST {
        let message = format!(
            "There are {}, and a wave takes {MOST} at most: narrow it",
            all.len()
        );
        return Err(AppError::invalid("q", message));
    }
    Ok(all)
}

fn into_beta(conn: &mut Db, whom: &Whom) -> Result<Vec<Candidate>> {
    let filter = RegistrationFilter {
        state: Some(RegistrationState::Approved),
        plan: whom.plan,
        text: whom.text.clone(),
        unconfigured: true,
    };
    let all = store::placement::candidates(conn, &filter)?;
    Ok(all
        .into_iter()
        .filter(|it| it.hurdle.is_none() && it.need.role == HostRole::Beta)
        .map(|it| Candidate {
            linode: it.linode,
            registration: Some(it.registration),
            label: it.label,
            account: it.account_name,
            disk_mb: it.need.disk_mb,
        })
        .collect())
}

fn out_of_beta(conn: &mut Db, whom: &Whom) -> Result<Vec<Candidate>> {
    let text = whom.text.trim().to_lowercase();
    let fits = |it: &graduation::Candidate| {
        let names = [&it.label, &it.account].map(|name| name.to_lowercase());
        whom.plan.is_none_or(|plan| plan == it.plan)
            && names.iter().any(|name| name.contains(&text))
    };
    let fleet = store::graduation::fleet(conn, Which::All)?;
    Ok(fleet
        .into_iter()
        .filter(fits)
        .filter_map(|it| match it.stands {
            graduation::Stands::Ready { registration, .. } => Some(Candidate {
                linode: it.linode,
                registration: Some(registration),
                label: it.label,
                account: it.account,
                disk_mb: it.disk_mb,
            }),
            graduation::Stands::Offered { .. }
            | graduation::Stands::Moving(_)
            | graduation::Stands::WayBackOpen(_)
            | graduation::Stands::NotRegistered => None,
        })
        .collect())
}

/// All that are on the host and not on their way: whose way back is open waits until it is not.
fn off_host(conn: &mut Db, whom: &Whom) -> Result<Vec<Candidate>> {
    let Some(host) = whom.host else {
        return Ok(Vec::new());
    };
    let text = whom.text.trim().to_lowercase();
    let fits = |it: &evacuation::Candidate| {
        let names = [&it.label, &it.account].map(|name| name.to_lowercase());
        whom.plan.is_none_or(|plan| plan == it.plan)
            && names.iter().any(|name| name.contains(&text))
    };
    let residents = store::evacuation::residents(conn, host, None)?;
    Ok(residents
        .into_iter()
        .filter(fits)
        .filter(|it| match it.stands {
            evacuation::Stands::Free { .. } | evacuation::Stands::WayBackOpen(_) => true,
            evacuation::Stands::Evacuating { .. } | evacuation::Stands::Moving(_) => false,
        })
        .map(|it| Candidate {
            linode: it.linode,
            registration: None,
            label: it.label,
            account: it.account,
            disk_mb: it.disk_mb,
        })
        .collect())
}
