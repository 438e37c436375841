//! The announcement's sections: their headings, and the texts they have until staff write others. A file each, in Markdown.

use crate::domain::programme::TextSection;

/// The section's heading.
pub fn title(of: TextSection) -> &'static str {
    match of {
        TextSection::Brings => "What Xen brings",
        TextSection::TakePart => "How to take part",
        TextSection::Tested => "What is tested",
        TextSection::Ends => "When it ends",
        TextSection::Bugs => "Where bugs go",
        TextSection::Kernels => "Kernels",
        TextSection::Threads => "NPTL and /lib/tls",
        TextSection::NotYet => "What does not work yet",
    }
}

/// Its text until staff write one.
pub fn default(of: TextSection) -> &'static str {
    match of {
        TextSection::Brings => include_str!("texts/brings.md"),
        TextSection::TakePart => include_str!("texts/take-part.md"),
        TextSection::Tested => include_str!("texts/tested.md"),
        TextSection::Ends => include_str!("texts/ends.md"),
        TextSection::Bugs => include_str!("texts/bugs.md"),
        TextSection::Kernels => include_str!("texts/kernels.md"),
        TextSection::Threads => include_str!("texts/nptl.md"),
        TextSection::NotYet => include_str!("texts/not-yet.md"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::string_enum::StringEnum;

    #[test]
    fn every_section_has_its_words() {
        for section in TextSection::ALL {
            assert!(!title(*section).is_empty());
            let text = default(*section).trim();
            assert!(text.len() > 100, "{section}: {text}");
            assert!(!text.contains('<'), "{section}: no HTML in texts");
        }
    }
}
