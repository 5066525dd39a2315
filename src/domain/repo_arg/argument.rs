//! Repository arguments in any form.

use super::address::{HUB_HOSTS, parse_page, parse_uri};
use super::patterns::escape_pattern;
use super::short::parse_short;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::quantisation::Quantisation;
use crate::domain::repo::{Repo, RepoPath, RepoType, Revision};

/// A parsed repository argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoArg {
    pub repo: Repo,
    pub revision: Option<Revision>,
    /// A file or folder inside the repository.
    pub part: Option<RepoPart>,
    /// A GGUF quantisation such as `Q4_K_M`, or the name of a GGUF file.
    pub quantisation: Option<String>,
}

/// The part of a repository that the argument selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepoPart {
    File(RepoPath),
    Folder(RepoPath),
}

impl RepoArg {
    /// Parses a repository argument; pages of the base URL `endpoint` count as
    /// the Hub's.
    pub fn parse(text: &str, endpoint: &str) -> Result<Self, InvalidValue> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix("hf://") {
            return parse_uri(text, rest);
        }
        if let Some(rest) = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
        {
            return parse_page(text, rest, endpoint);
        }
        for host in HUB_HOSTS {
            if text
                .strip_prefix(host)
                .is_some_and(|rest| rest.starts_with('/'))
            {
                return parse_page(text, text, endpoint);
            }
        }
        parse_short(text, text)
    }

    /// Applies the type of repository that was given beside the argument; an argument
    /// without one names a model.
    pub fn of_type(mut self, kind: Option<RepoType>) -> Result<Self, InvalidValue> {
        let Some(kind) = kind.filter(|kind| *kind != self.repo.kind) else {
            return Ok(self);
        };
        let text = self.repo.to_string();
        if self.repo.kind != RepoType::Model {
            return refuse(&text, format!("it is not a {kind}, as `--repo-type` says"));
        }
        if self.quantisation.is_some() {
            return refuse(&text, "only models have quantisations");
        }
        self.repo.kind = kind;
        Ok(self)
    }

    /// Returns the model's name when the user gives none.
    pub fn default_name(&self) -> String {
        match &self.quantisation {
            Some(quantisation) => format!("{}:{quantisation}", self.repo),
            None => self.repo.to_string(),
        }
    }

    /// Returns the include patterns that the argument implies.
    pub fn include_patterns(&self) -> Option<Vec<String>> {
        if let Some(quantisation) = &self.quantisation {
            return Some(vec![Quantisation::pattern(quantisation)]);
        }
        self.part.as_ref().map(|part| match part {
            RepoPart::File(path) => vec![escape_pattern(path.as_str())],
            RepoPart::Folder(path) => vec![format!("{}/", escape_pattern(path.as_str()))],
        })
    }
}

pub(super) fn refuse<T>(text: &str, why: impl Into<String>) -> Result<T, InvalidValue> {
    Err(refusal(text).because(why))
}

/// Returns the refusal of an argument with the general form as its next step.
pub(super) fn refusal(text: &str) -> InvalidValue {
    InvalidValue::not_valid("repository", text)
        .next("write `org/name`, `datasets/org/name` or the address of its page")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUB: &str = "https://huggingface.co";

    fn parse(text: &str) -> RepoArg {
        RepoArg::parse(text, HUB).unwrap_or_else(|err| panic!("{text}: {err}"))
    }

    #[test]
    fn all_usual_forms_are_understood() {
        for (text, repo, revision, part) in [
            ("gpt2", "gpt2", None, None),
            ("org/name", "org/name", None, None),
            ("models/org/name", "org/name", None, None),
            ("datasets/org/name", "datasets/org/name", None, None),
            ("spaces/org/name", "spaces/org/name", None, None),
            ("kernels/org/name", "kernels/org/name", None, None),
            (
                "hf://kernels/org/name@v1",
                "kernels/org/name",
                Some("v1"),
                None,
            ),
            (
                "https://huggingface.co/kernels/org/name/blob/main/build/x.py",
                "kernels/org/name",
                Some("main"),
                Some(("build/x.py", true)),
            ),
            ("org/name@v1.0", "org/name", Some("v1.0"), None),
            ("org/name@refs/pr/1", "org/name", Some("refs/pr/1"), None),
            ("hf://org/name", "org/name", None, None),
            (
                "hf://datasets/org/name@rev",
                "datasets/org/name",
                Some("rev"),
                None,
            ),
            (
                "hf://org/name@refs/pr/1/a/b.txt",
                "org/name",
                Some("refs/pr/1"),
                Some(("a/b.txt", true)),
            ),
            (
                "hf://org/name@a%2Fb/x/",
                "org/name",
                Some("a/b"),
                Some(("x", false)),
            ),
            ("https://huggingface.co/org/name", "org/name", None, None),
            ("https://huggingface.co/org/name/", "org/name", None, None),
            ("https://huggingface.co/gpt2", "gpt2", None, None),
            ("huggingface.co/org/name", "org/name", None, None),
            (
                "https://hf.co/datasets/org/name?x=1#y",
                "datasets/org/name",
                None,
                None,
            ),
            (
                "https://huggingface.co/org/name/tree/main",
                "org/name",
                Some("main"),
                None,
            ),
            (
                "https://huggingface.co/org/name/tree/refs%2Fpr%2F2",
                "org/name",
                Some("refs/pr/2"),
                None,
            ),
            (
                "https://huggingface.co/org/name/tree/refs/pr/2/sub",
                "org/name",
                Some("refs/pr/2"),
                Some(("sub", false)),
            ),
            (
                "https://huggingface.co/spaces/org/name/blob/dev/a/b%20c.py",
                "spaces/org/name",
                Some("dev"),
                Some(("a/b c.py", true)),
            ),
            (
                "https://huggingface.co/org/name/resolve/main/x.bin?download=true",
                "org/name",
                Some("main"),
                Some(("x.bin", true)),
            ),
        ] {
            let arg = parse(text);
            assert_eq!(arg.repo.to_string(), repo, "{text}");
            assert_eq!(
                arg.revision.as_ref().map(Revision::as_str),
                revision,
                "{text}"
            );
            let found = arg.part.as_ref().map(|part| match part {
                RepoPart::File(path) => (path.as_str(), true),
                RepoPart::Folder(path) => (path.as_str(), false),
            });
            assert_eq!(found, part, "{text}");
        }
    }

    #[test]
    fn a_type_beside_the_argument_completes_it_and_cannot_contradict_it() {
        let of = |text: &str, kind| {
            parse(text)
                .of_type(Some(kind))
                .map(|it| it.repo.to_string())
        };
        assert_eq!(of("a/b", RepoType::Kernel).unwrap(), "kernels/a/b");
        assert_eq!(of("spaces/a/b", RepoType::Space).unwrap(), "spaces/a/b");
        assert!(of("spaces/a/b", RepoType::Dataset).is_err());
        assert!(of("a/b:Q4_0", RepoType::Dataset).is_err());
    }

    #[test]
    fn a_page_of_the_configured_endpoint_counts_as_the_hubs() {
        let arg = RepoArg::parse(
            "http://127.0.0.1:8080/x/org/name/tree/main",
            "http://127.0.0.1:8080/x",
        )
        .unwrap();
        assert_eq!(arg.repo.to_string(), "org/name");
        assert!(RepoArg::parse("https://example.com/org/name", HUB).is_err());
    }

    #[test]
    fn a_quantisation_may_stand_behind_the_name_with_its_host() {
        for text in ["hf.co/org/name:Q4_K_M", "huggingface.co/org/name:Q4_K_M"] {
            let found = parse(text);
            assert_eq!(found, parse("org/name:Q4_K_M"), "{text}");
            assert_eq!(found.quantisation.as_deref(), Some("Q4_K_M"), "{text}");
        }
    }

    #[test]
    fn text_without_a_repository_is_refused() {
        for bad in [
            "",
            "/",
            "a/b/c",
            "papers/a/b",
            "kernels/x",
            "datasets/x",
            "a/b/c/d",
            "org/name:",
            "org/name:a b",
            "datasets/org/name:Q4_0",
            "hf.co/datasets/org/name:Q4_0",
            "hf.co/org/name:",
            "hf://",
            "hf://name",
            "hf://buckets/a/b",
            "https://huggingface.co",
            "https://huggingface.co/org/name/discussions/3",
            "https://huggingface.co/org/name/blob/main",
            "hf://org/name/../x",
            "org/name@",
            "org/name@a b",
            "-x/y",
            "https://huggingface.co/org/name/tree/%FF",
        ] {
            assert!(RepoArg::parse(bad, HUB).is_err(), "{bad}");
        }
    }
}
