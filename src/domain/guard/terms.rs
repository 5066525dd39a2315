//! Licence and gating of a repository, as the Hub sends them with a revision.

use crate::domain::hold::{Finding, HoldReason};

/// The terms of a repository; a server need not send either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The licence, such as `apache-2.0`; `none` for a repository without one.
    pub licence: Option<String>,
    /// `no`, `auto` or `manual`.
    pub gating: Option<String>,
}

impl Terms {
    /// Returns these terms, completed with older ones where they are unknown.
    #[must_use]
    pub fn or(self, older: &Self) -> Self {
        Self {
            licence: self.licence.or_else(|| older.licence.clone()),
            gating: self.gating.or_else(|| older.gating.clone()),
        }
    }
}

/// Compares the terms of the published commit with those of the new one.
pub fn terms_findings(published: &Terms, found: &Terms) -> Vec<Finding> {
    let compare = |reason, noun: &str, before: &Option<String>, now: &Option<String>| {
        let (before, now) = before.as_ref().zip(now.as_ref())?;
        (before != now).then(|| Finding {
            reason,
            detail: format!("the {noun} is `{now}` and was `{before}`"),
        })
    };
    let licence = compare(
        HoldReason::LicenceChanged,
        "licence",
        &published.licence,
        &found.licence,
    );
    let gating = compare(
        HoldReason::GatingChanged,
        "gating",
        &published.gating,
        &found.gating,
    );
    licence.into_iter().chain(gating).collect()
}

#[cfg(test)]
mod tests {
    use super::super::files::fixture::reasons;
    use super::*;

    #[test]
    fn known_terms_that_differ_are_found_and_unknown_ones_are_not() {
        let terms = |licence: &str, gating: &str| Terms {
            licence: (!licence.is_empty()).then(|| licence.to_owned()),
            gating: (!gating.is_empty()).then(|| gating.to_owned()),
        };
        let judged = |old: Terms, new: Terms| reasons(&terms_findings(&old, &new));
        let free = || terms("mit", "no");
        assert_eq!(judged(free(), free()), [""; 0]);
        assert_eq!(judged(free(), terms("other", "no")), ["licence-changed"]);
        assert_eq!(
            judged(free(), terms("none", "manual")),
            ["licence-changed", "gating-changed"]
        );
        assert_eq!(judged(terms("", ""), free()), [""; 0]);
        assert_eq!(judged(free(), terms("", "")), [""; 0]);
        assert_eq!(terms("", "auto").or(&free()), terms("mit", "auto"));
    }
}
