//! URIs of streams, whose printed forms hold no secrets.
//!
//! - `parts`: which parts of a URI are secret
//! - `names`: `${NAME}`, and where the value of a name is found
//! - `revealed`: the real URI, and how its secrets are removed from messages

mod names;
mod parts;
mod revealed;
#[cfg(test)]
mod tests;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::Problem;
use names::{SecretSources, is_names};
use parts::{Piece, UriParts};

pub(crate) use revealed::Revealed;

/// Replaces a secret where it is printed.
const HIDDEN: &str = "***";

/// A URI as the user wrote it, which may hold a password or a token.
///
/// `${NAME}` stands for the environment variable `NAME` or, if there is none, for the content of
/// the file `$CREDENTIALS_DIRECTORY/NAME` without its last line break. Write values there as they
/// are: those of the user and the password are percent-encoded when the stream is opened, those of
/// other parts are not changed. A `$` without `{` is itself; write `$%7B` for a `${` that is not a
/// name.
///
/// `Display` and `Debug` omit user and password, and show `token=***` for the value of a key like
/// `token`. `Serialize` does the same, but keeps secrets that consist of `${NAME}` alone.
#[derive(Clone, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(transparent)]
pub struct Address(String);

impl From<String> for Address {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Address {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Address {
    /// The scheme, as in `rtsp`; empty when there is none.
    pub(crate) fn scheme(&self) -> &str {
        UriParts::of(&self.0).scheme.trim_end_matches("://")
    }

    /// Whether it is the URI of an HLS playlist.
    pub(crate) fn is_playlist(&self) -> bool {
        self.0.split(['?', '#']).next().is_some_and(|it| it.ends_with(".m3u8"))
    }

    /// The real URI. Only the code that opens the stream needs it.
    ///
    /// # Errors
    /// [`Problem::Address`] when it is not a URI, or a `${NAME}` has no value.
    pub(crate) fn reveal(&self) -> Result<Revealed, Problem> {
        self.reveal_from(&SecretSources::of_process()).map_err(Problem::Address)
    }

    fn reveal_from(&self, sources: &SecretSources<'_>) -> Result<Revealed, String> {
        let parts = UriParts::of(&self.0);
        if parts.scheme.is_empty() {
            return Err("must be a URI, as in rtsp://host/".into());
        }
        if parts.ambiguous {
            return Err(
                "is ambiguous: write an `@` after the host as %40, and `/`, `?`, `#` in a \
                        password as %2F, %3F, %23"
                    .into(),
            );
        }
        if parts.secrets().any(|it| it == HIDDEN) {
            return Err(format!(
                "{HIDDEN} stands for a secret that was not written down: replace it by the secret, or \
                 by a ${{NAME}}"
            ));
        }
        Revealed::of(&self.0, &parts, sources)
    }

    /// The form that is written into files: secrets only as names.
    fn template(&self) -> String {
        let parts = UriParts::of(&self.0);
        let named = |it| if is_names(it) { it } else { HIDDEN };
        let who = [parts.user, parts.password].into_iter().flatten();
        let user_info = if who.clone().any(is_names) {
            let shown = who.map(|it| if it.is_empty() { it } else { named(it) });
            shown.collect::<Vec<_>>().join(":") + "@"
        } else {
            String::new()
        };
        format!("{}{user_info}{}", parts.scheme, parts.rest_with(named))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = UriParts::of(&self.0);
        write!(f, "{}{}", parts.scheme, parts.rest_with(|_| HIDDEN))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.template())
    }
}
