//! The selection of guards: the value of a setting and of a model's field.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::domain::hold::HoldReason;
use crate::domain::invalid_value::{InvalidValue, shown};
use crate::domain::nearest::nearest;
use crate::domain::repo::RepoType;

/// The reasons that are guards; each can be switched off.
pub const GUARDS: &[HoldReason] = &[
    HoldReason::NewCode,
    HoldReason::ChangedCode,
    HoldReason::NoSafetensors,
    HoldReason::SizeChange,
    HoldReason::LicenceChanged,
    HoldReason::GatingChanged,
    HoldReason::MassDeletion,
    HoldReason::HistoryRewritten,
    HoldReason::SecurityScan,
    HoldReason::BadHeader,
];

const ALL: &str = "all";
const OFF: &str = "off";

/// The guards that check updates; all of them are off by default.
///
/// Written as `all`, `off`, a list such as `new-code,bad-header`, or `all` without some:
/// `all,-changed-code`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guards(pub BTreeSet<HoldReason>);

/// The guards of an installation, and the limit of the guard `size-change`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardRules {
    /// The guards of models that name none themselves or by their tags.
    pub guards: Guards,
    /// The largest change of the selected bytes, in percent; `None` for any.
    pub size_change: Option<u32>,
}

impl Guards {
    pub fn all() -> Self {
        Self(GUARDS.iter().copied().collect())
    }

    /// Parses words, each of which may be a list with commas.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, InvalidValue> {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        texts.join(",").parse()
    }

    /// Returns the words of the selection.
    pub fn words(&self) -> Vec<String> {
        let guards = GUARDS.iter();
        if self.0.is_empty() {
            return vec![OFF.to_owned()];
        }
        if self.0.len() * 2 <= GUARDS.len() {
            let on = guards.filter(|guard| self.0.contains(guard));
            return on.map(ToString::to_string).collect();
        }
        let removed = guards.filter(|guard| !self.0.contains(guard));
        let removed = removed.map(|guard| format!("-{guard}"));
        std::iter::once(ALL.to_owned()).chain(removed).collect()
    }

    /// Tells whether a guard checks the updates of a repository.
    ///
    /// A space and a kernel consist of code, so that its updates say nothing there.
    pub fn has(&self, guard: HoldReason, kind: RepoType) -> bool {
        let is_code = matches!(guard, HoldReason::NewCode | HoldReason::ChangedCode);
        let consists_of_code = matches!(kind, RepoType::Space | RepoType::Kernel);
        self.0.contains(&guard) && !(is_code && consists_of_code)
    }
}

impl FromStr for Guards {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let text = text.trim();
        if text == OFF {
            return Ok(Self::default());
        }
        let mut guards = BTreeSet::new();
        for word in text.split(',').map(str::trim) {
            match word.strip_prefix('-') {
                Some(removed) => {
                    guards.remove(&guard(removed)?);
                }
                None if word == ALL => guards.extend(GUARDS),
                None => {
                    guards.insert(guard(word)?);
                }
            }
        }
        Ok(Self(guards))
    }
}

fn guard(word: &str) -> Result<HoldReason, InvalidValue> {
    let mut guards = GUARDS.iter().copied();
    guards.find(|guard| guard.as_str() == word).ok_or_else(|| {
        let words: Vec<&str> = GUARDS.iter().map(|guard| guard.as_str()).collect();
        let refusal = InvalidValue::new(format!("there is no guard `{}`", shown(word)));
        match nearest(word, words.iter().copied()) {
            Some(near) => refusal.next(format!("did you mean `{near}`?")),
            None => {
                let words = words.join(", ");
                refusal.next(format!("write `{ALL}`, `{OFF}`, or a list of {words}"))
            }
        }
    })
}

impl fmt::Display for Guards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.words().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_written_as_it_is_read() {
        for (text, written) in [
            ("all", "all"),
            ("off", "off"),
            (" all , -changed-code ", "all,-changed-code"),
            ("bad-header,new-code", "new-code,bad-header"),
            ("new-code,-new-code", "off"),
        ] {
            let guards: Guards = text.parse().unwrap();
            assert_eq!(guards.to_string(), written);
            assert_eq!(written.parse(), Ok(guards));
        }
    }

    #[test]
    fn an_unknown_guard_is_refused_with_the_nearest_word() {
        let refused = |text: &str| text.parse::<Guards>().unwrap_err().with_next_step();
        assert!(refused("new-cod").contains("`new-code`"));
        assert!(refused("").contains("a list of new-code, changed-code"));
        // Losses are no guards: no setting lets an emptied repository through.
        assert!(refused("no-files").contains("there is no guard"));
        assert!(refused("all,off").contains("there is no guard"));
    }

    #[test]
    fn code_is_the_ordinary_life_of_spaces_and_kernels() {
        let all = Guards::all();
        for guard in GUARDS {
            assert!(all.has(*guard, RepoType::Model));
            assert!(all.has(*guard, RepoType::Dataset));
        }
        for kind in [RepoType::Space, RepoType::Kernel] {
            assert!(!all.has(HoldReason::NewCode, kind));
            assert!(!all.has(HoldReason::ChangedCode, kind));
            assert!(all.has(HoldReason::SecurityScan, kind));
        }
    }
}
