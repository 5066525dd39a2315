//! What a test may change about the answers, and the shapes of mirrors.

use std::time::Duration;

/// How the hub answers. Change it at any time with [`crate::TestHub::configure`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// Entries of a listing page (the real Hub: 1000).
    pub page_size: usize,
    /// How long a signed CDN link works.
    pub link_lifetime: Duration,
    /// How many requests a signed CDN link serves; `None` for any number.
    pub link_uses: Option<u32>,
    /// Whether a link works only with the `Range` that the resolve request had, if it had one.
    pub bind_range: bool,
    /// Size from which the CDN answers 400 to a request without `Range`.
    pub unranged_limit: Option<u64>,
    /// Whether small text files come compressed, without length, to those who accept gzip.
    pub gzip: bool,
    /// What `xet-read-token` answers; `None` makes it a 404.
    pub xet: Option<XetService>,
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
            shape: Shape::hugging_face(),
        }
    }
}

/// The CAS server that Xet files are read from.
#[derive(Clone, Debug)]
pub struct XetService {
    pub cas_url: String,
    pub access_token: String,
    pub lifetime: Duration,
    /// Whether reconstructions can be had in their second form, too.
    pub second_form: bool,
}

/// What kind of server this is; users point `HF_ENDPOINT` at other ones than huggingface.co.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub delivery: Delivery,
    pub etag: EtagStyle,
    /// Whether `Range` is honoured on direct answers and by the CDN.
    pub ranges: bool,
    /// Whether direct answers carry `Content-Length`; without it they are chunked.
    pub content_length: bool,
    /// Whether resolve answers carry `X-Linked-Size` and `X-Linked-ETag`.
    pub linked_headers: bool,
    /// Whether `/tree/REV` redirects to an absolute URL with a slash at the end.
    pub tree_slash_redirect: bool,
    /// Whether the listing gives the SHA-256 as `oid` of LFS files.
    pub lfs_oid_is_sha256: bool,
    /// Whether `/api/models/X` is a 401 while `/api/models/X/revision/main` works.
    pub info_needs_revision: bool,
    /// Origin put into absolute links in place of this server's, as by proxies that do not
    /// rewrite them.
    pub link_origin: Option<String>,
}

impl Shape {
    /// The real thing.
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

    /// olah serving a local mirror: direct answers, no ranges, no lengths, bare etags.
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

    /// KohakuHub: everything, small files too, is redirected to storage, with a cookie.
    pub fn kohaku() -> Self {
        Self {
            delivery: Delivery::Storage,
            etag: EtagStyle::Bare,
            lfs_oid_is_sha256: true,
            ..Self::hugging_face()
        }
    }
}

/// Where content comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Small files by a relative 307, large ones by a 302 to the CDN.
    Redirects,
    /// Everything by 200 or 206 from the resolve URL.
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
