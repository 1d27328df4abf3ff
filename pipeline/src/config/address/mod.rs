//! Addresses of streams, whose printed forms hold no secret.

mod names;
mod parts;
mod revealed;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::Problem;
use names::{SecretSources, is_names};
use parts::{Piece, UriParts};

pub(crate) use revealed::Revealed;

/// What stands for a secret where it is printed.
const HIDDEN: &str = "***";

/// A URI as the user wrote it, which may hold a password or a token.
///
/// `${NAME}` stands for the environment variable `NAME` or, where there is none, for what the file
/// `$CREDENTIALS_DIRECTORY/NAME` holds, without its last line break. Values are written there as
/// they are: those of the user and the password are percent-encoded when the stream is opened,
/// those of any other part are not changed. A `$` without `{` is itself, and `$%7B` is a `${` that
/// names nothing.
///
/// `Display` and `Debug` leave out user and password and show `token=***` for the value of a key
/// like `token`. `Serialize` does too, but keeps secrets that are written as `${NAME}` alone.
#[derive(Clone, Deserialize, Eq, PartialEq)]
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

    /// Whether it names a playlist of HLS.
    pub(crate) fn is_playlist(&self) -> bool {
        self.0.split(['?', '#']).next().is_some_and(|it| it.ends_with(".m3u8"))
    }

    /// The real URI. Only whoever opens the stream needs it.
    ///
    /// # Errors
    /// [`Problem::Address`] when it is no URI, or a `${NAME}` has no value.
    pub(crate) fn reveal(&self) -> Result<Revealed, Problem> {
        self.reveal_from(&SecretSources::of_process()).map_err(Problem::Address)
    }

    fn reveal_from(&self, sources: &SecretSources<'_>) -> Result<Revealed, String> {
        let parts = UriParts::of(&self.0);
        if parts.scheme.is_empty() {
            return Err("must be a URI, as in rtsp://host/".into());
        }
        if parts.ambiguous {
            return Err("an `@` behind the host must be written %40, and `/`, `?`, `#` in a \
                        password %2F, %3F, %23: otherwise nothing tells them apart"
                .into());
        }
        if parts.secrets().any(|it| it == HIDDEN) {
            return Err(format!(
                "{HIDDEN} stands for a secret that was not written down: put it there, or a \
                 ${{NAME}}"
            ));
        }
        Revealed::of(&self.0, &parts, sources)
    }

    /// What can be written into a file: secrets only as the names that stand for them.
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
