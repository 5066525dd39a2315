//! Settings of the answers, and the shapes of mirrors.

use std::time::Duration;

/// Settings of the hub's answers. Change them at any time with [`super::TestHub::configure`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// Entries per listing page (the real Hub: 1000).
    pub page_size: usize,
    /// The lifetime of a signed CDN link.
    pub link_lifetime: Duration,
    /// The number of requests that a signed CDN link serves; `None` for any number.
    pub link_uses: Option<u32>,
    /// Whether a link works only with the `Range` of the resolve request, if it had one.
    pub bind_range: bool,
    /// The file size from which the CDN answers 400 to a request without `Range`.
    pub unranged_limit: Option<u64>,
    /// Whether small text files are sent compressed, without length, to clients that accept gzip.
    pub gzip: bool,
    /// The data of `xet-read-token`; `None` makes it a 404.
    pub xet: Option<XetService>,
    /// The lifetime that a renewed login is said to have.
    pub login_lifetime: Duration,
    /// Makes a refresh token valid once: the answer has the next one.
    pub rotates_logins: bool,
    /// Whether answers tell how many requests are left, which lets clients wait now and then.
    pub rate_limits: bool,
    pub shape: Shape,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            page_size: 1000,
            link_lifetime: Duration::from_secs(3600),
            link_uses: None,
            bind_range: true,
            unranged_limit: None,
            gzip: true,
            xet: None,
            login_lifetime: Duration::from_secs(30 * 24 * 3600),
            rotates_logins: true,
            rate_limits: true,
            shape: Shape::hugging_face(),
        }
    }
}

/// The CAS server for Xet files.
#[derive(Clone, Debug)]
pub struct XetService {
    pub cas_url: String,
    pub access_token: String,
    pub lifetime: Duration,
    /// Whether reconstructions are available in their second form too.
    pub second_form: bool,
    /// Whether the reconstruction of a range has whole terms instead of the chunks of the range.
    pub whole_terms: bool,
}

/// The kind of server: users point `HF_ENDPOINT` at servers other than huggingface.co.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub delivery: Delivery,
    pub etag: EtagStyle,
    /// Whether direct answers and the CDN support `Range`.
    pub ranges: bool,
    /// Whether direct answers have `Content-Length`; otherwise they are chunked.
    pub content_length: bool,
    /// Whether resolve answers have `X-Linked-Size` and `X-Linked-ETag`.
    pub linked_headers: bool,
    /// Whether `/tree/REV` redirects to an absolute URL with a final slash.
    pub tree_slash_redirect: bool,
    /// Whether the listing has the SHA-256 as `oid` of LFS files.
    pub lfs_oid_is_sha256: bool,
    /// Whether `/api/models/X` is a 401 while `/api/models/X/revision/main` works.
    pub info_needs_revision: bool,
    /// Origin of absolute links, if not this server's: some proxies do not rewrite them.
    pub link_origin: Option<String>,
}

impl Shape {
    /// huggingface.co.
    pub fn hugging_face() -> Self {
        Self {
            delivery: Delivery::Redirects,
            etag: EtagStyle::Quoted,
            ranges: true,
            content_length: true,
            linked_headers: true,
            tree_slash_redirect: false,
            lfs_oid_is_sha256: false,
            info_needs_revision: false,
            link_origin: None,
        }
    }

    /// olah with a local mirror: direct answers, no ranges, no lengths, bare etags.
    pub fn olah() -> Self {
        Self {
            delivery: Delivery::Direct,
            etag: EtagStyle::Bare,
            ranges: false,
            content_length: false,
            linked_headers: false,
            tree_slash_redirect: true,
            info_needs_revision: true,
            ..Self::hugging_face()
        }
    }

    /// A caching proxy: direct 200 and 206 with a quoted etag, no `X-Linked-*`.
    pub fn caching_proxy() -> Self {
        Self {
            delivery: Delivery::Direct,
            linked_headers: false,
            ..Self::hugging_face()
        }
    }

    /// KohakuHub: all files, small ones too, redirect to storage, with a cookie.
    pub fn kohaku() -> Self {
        Self {
            delivery: Delivery::Storage,
            etag: EtagStyle::Bare,
            lfs_oid_is_sha256: true,
            ..Self::hugging_face()
        }
    }
}

/// How content is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Small files by a relative 307, large files by a 302 to the CDN.
    Redirects,
    /// All files by 200 or 206 from the resolve URL.
    Direct,
    /// `HEAD` is a 200; `GET` is a 302 to storage for every file, with `set-cookie`.
    Storage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtagStyle {
    /// `"abc"`
    Quoted,
    /// `abc`
    Bare,
    /// `W/"abc"`
    Weak,
}

impl EtagStyle {
    pub(crate) fn render(self, etag: &str) -> String {
        match self {
            Self::Quoted => format!("\"{etag}\""),
            Self::Bare => etag.to_owned(),
            Self::Weak => format!("W/\"{etag}\""),
        }
    }
}
