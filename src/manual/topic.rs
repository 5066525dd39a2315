//! The table of topics.

use super::markdown::{Element, NotInSubset, parse, plain};

/// One page of the manual.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    pub name: &'static str,
    pub text: &'static str,
}

impl Topic {
    /// Returns the topic of a name.
    pub fn find(name: &str) -> Option<&'static Self> {
        TOPICS.iter().find(|topic| topic.name == name)
    }

    /// Returns the title, which is the first line of the text.
    pub fn title(&self) -> &'static str {
        let first = self.text.lines().next().unwrap_or_default();
        first.trim_start_matches("# ")
    }

    pub fn blocks(&self) -> Result<Vec<Element>, NotInSubset> {
        parse(self.text)
    }

    /// Returns the title in the form of the NAME section of a manual page: without marks.
    pub fn plain_title(&self) -> Result<String, NotInSubset> {
        match self.blocks()?.first() {
            Some(Element::Heading { text, .. }) => Ok(plain(text)),
            _ => Ok(self.title().to_owned()),
        }
    }
}

macro_rules! topics {
    ($($name:literal),+ $(,)?) => {
        /// All topics, in the order of `hfdl help topics`.
        pub const TOPICS: &[Topic] = &[$(Topic {
            name: $name,
            text: include_str!(concat!($name, ".md")),
        }),+];
    };
}

topics![
    "tutorial",
    "unattended",
    "migrate",
    "ci",
    "share",
    "apps",
    "policies",
    "limits",
    "integrity",
    "troubleshooting",
    "faq",
    "settings",
    "hooks",
    "metrics",
    "json",
    "architecture",
    "compare",
    "glossary",
];
