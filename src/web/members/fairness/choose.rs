//! Which of the account's Linodes a page is about: tabs where they are few, else a field for its label.

use crate::domain::ids::LinodeId;
use crate::store::fairness::page::MOST_CHOICES;
use crate::web::ui::{Field, Link};

#[derive(Debug, Default)]
pub struct Choose {
    pub tabs: Vec<(Link, bool)>,
    /// Where there are more than tabs for.
    pub field: Option<Field>,
    /// What the text in it finds, if that is not one alone.
    pub found: Vec<Link>,
    /// … which was nothing.
    pub none: bool,
}

impl Choose {
    /// `some`: as many as are looked for, those with `q` if that is asked for.
    pub fn new(
        some: &[(LinodeId, String)],
        (chosen, q): (LinodeId, &str),
        url: impl Fn(LinodeId) -> String,
    ) -> Self {
        let asked = !q.trim().is_empty();
        let links = || {
            some.iter()
                .map(|(id, label)| (Link::new(url(*id), label), *id == chosen))
        };
        if !asked && some.len() <= MOST_CHOICES {
            let tabs: Vec<_> = links().collect();
            return Self {
                tabs: if tabs.len() > 1 { tabs } else { Vec::new() },
                ..Self::default()
            };
        }
        let others = links().filter(|(_, is_chosen)| asked && !is_chosen);
        Self {
            tabs: Vec::new(),
            field: Some(Field::text("q", "Another Linode: its label, or a part of it").value(q)),
            found: others.map(|(link, _)| link).collect(),
            none: asked && some.is_empty(),
        }
    }
}
