//! Which path means what. Paths are split as they are, without decoding: nothing here has a character that needs it.

/// Where a request goes.
#[derive(Debug, Eq, PartialEq)]
pub enum Route<'a> {
    /// Whether the process lives.
    Live,
    /// Whether it can serve.
    Ready,
    /// What it counts.
    Metrics,
    /// A file that never changes.
    Fixed {
        /// Its content type.
        kind: &'static str,
        /// Its text.
        text: &'static str,
    },
    /// A new token, as etcd's service made them.
    New,
    /// A token and what is below it, in etcd's protocol.
    Registry(RegistryPath<'a>),
    /// The status page of a token.
    Page {
        /// The token's ID.
        token: &'a str,
        /// The secret that opens it.
        secret: &'a str,
        /// Whether its events are asked for, and not the page.
        events: bool,
    },
    /// The members of a token's cluster, for Prometheus.
    Feed {
        /// The token's ID.
        token: &'a str,
        /// The secret that opens it.
        secret: &'a str,
    },
    /// The native API below `/v1/`.
    Native(Vec<&'a str>),
    /// None.
    Nothing,
}

/// A path of etcd's protocol: the join secret and what follows it.
#[derive(Debug, Eq, PartialEq)]
pub struct RegistryPath<'a> {
    /// The secret.
    pub secret: &'a str,
    /// The segments after it.
    pub rest: Vec<&'a str>,
}

/// Digits of a join secret.
const SECRET_DIGITS: usize = 32;
/// Where etcd's own registries live in a store.
const REGISTRY: [&str; 4] = ["v2", "keys", "_etcd", "registry"];

impl<'a> Route<'a> {
    /// The route of a path.
    #[must_use]
    pub fn of(path: &'a str) -> Self {
        // One slash at the end is no difference: both spellings of a discovery URL are in use.
        let trimmed = path.strip_prefix('/').unwrap_or(path);
        let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
        let segments: Vec<&str> = trimmed.split('/').collect();
        match segments.as_slice() {
            [""] => Self::Fixed {
                kind: "text/html; charset=utf-8",
                text: include_str!("assets/index.html"),
            },
            ["livez" | "health"] => Self::Live,
            ["readyz"] => Self::Ready,
            ["metrics"] => Self::Metrics,
            ["robots.txt"] => Self::Fixed {
                kind: "text/plain; charset=utf-8",
                text: "User-agent: *\nDisallow: /\n",
            },
            ["assets", "status.css"] => Self::Fixed {
                kind: "text/css; charset=utf-8",
                text: include_str!("assets/status.css"),
            },
            ["assets", "status.js"] => Self::Fixed {
                kind: "text/javascript; charset=utf-8",
                text: include_str!("assets/status.js"),
            },
            ["v1", "openapi.json"] => Self::Fixed {
                kind: "application/json",
                text: include_str!("../../../docs/discovery-openapi.json"),
            },
            ["new"] => Self::New,
            ["t", token, secret] => Self::Page { token, secret, events: false },
            ["t", token, secret, "events"] => Self::Page { token, secret, events: true },
            ["t", token, secret, "http_sd"] => Self::Feed { token, secret },
            ["v1", rest @ ..] => Self::Native(rest.to_vec()),
            [a, b, c, d, secret, rest @ ..] if [*a, *b, *c, *d] == REGISTRY => {
                Self::Registry(RegistryPath { secret, rest: rest.to_vec() })
            }
            // Whatever has the form of a token, so that a mistyped one gets an answer that etcd's nodes can print.
            [secret, rest @ ..] if secret.len() == SECRET_DIGITS => {
                Self::Registry(RegistryPath { secret, rest: rest.to_vec() })
            }
            _ => Self::Nothing,
        }
    }

    /// Its name in metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Live => "livez",
            Self::Ready => "readyz",
            Self::Metrics => "metrics",
            Self::Fixed { .. } => "fixed",
            Self::New => "new",
            Self::Registry(path) => match path.rest.as_slice() {
                [] => "registry",
                ["_config", ..] => "registry_size",
                _ => "registry_member",
            },
            Self::Page { events: false, .. } => "page",
            Self::Page { events: true, .. } => "page_events",
            Self::Feed { .. } => "http_sd",
            Self::Native(path) if path.last() == Some(&"http_sd") => "http_sd",
            Self::Native(_) => "v1",
            Self::Nothing => "none",
        }
    }

    /// Whether whoever asks expects etcd's errors. A node that is given a wrong URL asks at any path.
    #[must_use]
    pub fn speaks_v2(&self) -> bool {
        matches!(self, Self::New | Self::Registry(_) | Self::Nothing)
    }

    /// Whether it is answered with a page: a browser also opens discovery URLs.
    #[must_use]
    pub fn is_page(&self, wants_html: bool) -> bool {
        match self {
            Self::Page { events, .. } => !events,
            Self::Registry(path) => wants_html && path.rest.is_empty(),
            _ => false,
        }
    }

    /// Whether it takes a secret, which may be guessed at.
    #[must_use]
    pub fn needs_secret(&self) -> bool {
        matches!(self, Self::Registry(_) | Self::Page { .. } | Self::Feed { .. } | Self::Native(_))
    }

    /// Whether it counts against an address. Probes and scrapes do not.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        !matches!(self, Self::Live | Self::Ready | Self::Metrics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_token_lead_to_it() {
        let secret = "0123456789abcdef0123456789abcdef";
        let below = ["", "/", "/_config/size", "/1f"];
        for rest in below {
            let short = format!("/{secret}{rest}");
            let long = format!("/v2/keys/_etcd/registry/{secret}{rest}");
            assert_eq!(Route::of(&short), Route::of(&long), "{rest}");
            assert!(matches!(Route::of(&short), Route::Registry(_)));
        }
        assert_eq!(Route::of("/nonsense"), Route::Nothing);
        assert!(matches!(Route::of("/"), Route::Fixed { .. }));
        assert_eq!(
            Route::of("/v1/tokens/-/members"),
            Route::Native(vec!["tokens", "-", "members"])
        );
    }
}
