//! Licences as model cards name them, and the SPDX ids of those that have one.

/// The licence facts of a model card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardLicence {
    /// The words of `license`, as `apache-2.0`.
    pub words: Vec<String>,
    /// The name of a licence that the Hub has no word for.
    pub name: Option<String>,
    pub link: Option<String>,
}

/// The Hub's words for licences, and the ids of SPDX where they are spelt otherwise than
/// in capital letters or mean one id of several.
#[rustfmt::skip]
const SPDX_IDS: &[(&str, &str)] = &[
    ("afl-3.0", "AFL-3.0"), ("agpl-3.0", "AGPL-3.0-only"), ("apache-2.0", "Apache-2.0"),
    ("artistic-2.0", "Artistic-2.0"), ("bsd-2-clause", "BSD-2-Clause"),
    ("bsd-3-clause", "BSD-3-Clause"), ("bsd-3-clause-clear", "BSD-3-Clause-Clear"),
    ("bsl-1.0", "BSL-1.0"), ("c-uda", "C-UDA-1.0"), ("cc0-1.0", "CC0-1.0"),
    ("cc-by-2.0", "CC-BY-2.0"), ("cc-by-2.5", "CC-BY-2.5"), ("cc-by-3.0", "CC-BY-3.0"),
    ("cc-by-4.0", "CC-BY-4.0"), ("cc-by-sa-3.0", "CC-BY-SA-3.0"), ("cc-by-sa-4.0", "CC-BY-SA-4.0"),
    ("cc-by-nc-2.0", "CC-BY-NC-2.0"), ("cc-by-nc-3.0", "CC-BY-NC-3.0"),
    ("cc-by-nc-4.0", "CC-BY-NC-4.0"), ("cc-by-nd-4.0", "CC-BY-ND-4.0"),
    ("cc-by-nc-nd-3.0", "CC-BY-NC-ND-3.0"), ("cc-by-nc-nd-4.0", "CC-BY-NC-ND-4.0"),
    ("cc-by-nc-sa-2.0", "CC-BY-NC-SA-2.0"), ("cc-by-nc-sa-3.0", "CC-BY-NC-SA-3.0"),
    ("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0"), ("cdla-sharing-1.0", "CDLA-Sharing-1.0"),
    ("cdla-permissive-1.0", "CDLA-Permissive-1.0"), ("cdla-permissive-2.0", "CDLA-Permissive-2.0"),
    ("ecl-2.0", "ECL-2.0"), ("epl-1.0", "EPL-1.0"), ("epl-2.0", "EPL-2.0"),
    ("etalab-2.0", "etalab-2.0"), ("eupl-1.1", "EUPL-1.1"), ("eupl-1.2", "EUPL-1.2"),
    ("gpl-2.0", "GPL-2.0-only"), ("gpl-3.0", "GPL-3.0-only"), ("isc", "ISC"),
    ("lgpl-2.1", "LGPL-2.1-only"), ("lgpl-3.0", "LGPL-3.0-only"), ("lgpl-lr", "LGPLLR"),
    ("lppl-1.3c", "LPPL-1.3c"), ("mit", "MIT"), ("mpl-2.0", "MPL-2.0"), ("ms-pl", "MS-PL"),
    ("ncsa", "NCSA"), ("odbl", "ODbL-1.0"), ("odc-by", "ODC-By-1.0"), ("ofl-1.1", "OFL-1.1"),
    ("osl-3.0", "OSL-3.0"), ("pddl", "PDDL-1.0"), ("postgresql", "PostgreSQL"),
    ("unlicense", "Unlicense"), ("wtfpl", "WTFPL"), ("zlib", "Zlib"),
];

/// Returns the SPDX id of a licence by the Hub's word for it. Words that name a family,
/// such as `gpl`, have none.
pub fn spdx_id(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let found = SPDX_IDS.iter().find(|(known, _)| *known == word);
    found.map(|(_, id)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_the_id_of_its_licence_and_a_family_has_none() {
        assert_eq!(spdx_id("apache-2.0"), Some("Apache-2.0"));
        assert_eq!(spdx_id("MIT"), Some("MIT"));
        assert_eq!(spdx_id("gpl-3.0"), Some("GPL-3.0-only"));
        for word in ["gpl", "cc", "other", "llama3", "openrail", ""] {
            assert_eq!(spdx_id(word), None, "{word}");
        }
    }
}
