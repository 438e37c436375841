//! What can be done from a page, as a row of buttons (`ui/actions.html`).

/// One of them. What asks first is a link to its question; what does not is sent at once.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    pub url: String,
    pub label: String,
    pub asks: bool,
    /// Another one is what most come for.
    pub second: bool,
}

impl Action {
    pub fn ask(url: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            label: label.into(),
            asks: true,
            second: false,
        }
    }

    pub fn send(url: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            asks: false,
            ..Self::ask(url, label)
        }
    }

    pub fn second(mut self) -> Self {
        self.second = true;
        self
    }

    /// Those that make sense now.
    pub fn those(of: impl IntoIterator<Item = (bool, Self)>) -> Vec<Self> {
        let can = of.into_iter().filter(|(can, _)| *can);
        can.map(|(_, action)| action).collect()
    }
}
