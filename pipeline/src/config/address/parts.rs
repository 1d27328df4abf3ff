//! Which parts of a URI are secret.

/// Keys whose values are secret. A key counts as one of them if its last word is one, as in
/// `api_key` and `X-Amz-Signature`, or if it ends in one of five letters or more, as in
/// `accessToken`.
const KEYS: [&str; 22] = [
    "user",
    "usr",
    "username",
    "login",
    "loginuse",
    "loginpas",
    "password",
    "passwd",
    "pwd",
    "pass",
    "passphrase",
    "token",
    "key",
    "apikey",
    "accesskey",
    "auth",
    "secret",
    "sig",
    "signature",
    "credential",
    "credentials",
    "authorization",
];

/// A URI in parts.
#[derive(Debug)]
pub(super) struct UriParts<'a> {
    /// With its `://`.
    pub(super) scheme: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a str>,
    /// The host and everything after it.
    pub(super) rest: Vec<Piece<'a>>,
    /// The end of the password is a guess.
    pub(super) ambiguous: bool,
}

/// A piece of a URI.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece<'a> {
    Public(&'a str),
    /// The value of a key such as `token`.
    Secret(&'a str),
}

impl<'a> Piece<'a> {
    pub(super) fn text(self) -> &'a str {
        let (Self::Public(text) | Self::Secret(text)) = self;
        text
    }
}

impl<'a> UriParts<'a> {
    pub(super) fn of(uri: &'a str) -> Self {
        let (scheme, after) = uri.split_at(end_of_scheme(uri));
        let (end, ambiguous) = end_of_user_info(after);
        let (who, rest) = match end {
            Some(at) => (Some(&after[..at]), &after[at + 1..]),
            None => (None, after),
        };
        let (user, password) = match who.map(|it| it.split_once(':').ok_or(it)) {
            Some(Ok((user, password))) => (Some(user), Some(password)),
            Some(Err(user)) => (Some(user), None),
            None => (None, None),
        };
        Self { scheme, user, password, rest: pieces(rest), ambiguous }
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = &'a str> {
        let values = self.rest.iter().filter_map(|it| match *it {
            Piece::Secret(value) => Some(value),
            Piece::Public(_) => None,
        });
        self.user.into_iter().chain(self.password).chain(values)
    }

    /// The host and everything after it, with every secret replaced.
    pub(super) fn rest_with(&self, shown: impl Fn(&'a str) -> &'a str) -> String {
        let piece = |it: &Piece<'a>| match *it {
            Piece::Public(text) => text,
            Piece::Secret(value) => shown(value),
        };
        self.rest.iter().map(piece).collect()
    }
}

fn end_of_scheme(uri: &str) -> usize {
    let end = uri.find("://").unwrap_or(0);
    let sound = |it: char| it.is_ascii_alphanumeric() || "+-.".contains(it);
    if end > 0 && uri[..end].chars().all(sound) { end + 3 } else { 0 }
}

/// Where the `@` of `user:password@host` is, and whether that is a guess.
///
/// In `me:1/2@host` the `/` may belong to a password or start a path. The longest user and password
/// are assumed, so that no part of them is ever printed.
fn end_of_user_info(after: &str) -> (Option<usize>, bool) {
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let authority = &after[..end];
    let path = match after[end..].strip_prefix('/') {
        Some(path) => end + 1 + path.find('?').unwrap_or(path.len()),
        None => after.len(),
    };
    if !authority.contains([':', '@']) {
        return (None, false);
    }
    let last = after[..path].rfind('@');
    (last, last.is_some_and(|it| it > end))
}

fn pieces(rest: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut shown, mut from) = (Vec::new(), 0, 0);
    while let Some(at) = rest[from..].find('=').map(|it| from + it) {
        let value = value(rest, at + 1);
        from = at + 1;
        if is_secret(&rest[..at], value) {
            pieces.extend([Piece::Public(&rest[shown..from]), Piece::Secret(value)]);
            from += value.len();
            shown = from;
        }
    }
    pieces.push(Piece::Public(&rest[shown..]));
    pieces
}

/// The value that starts here. It is rather too long than too short: a `/` or `;` may be part of
/// it.
fn value(rest: &str, start: usize) -> &str {
    let in_query = rest[..start].contains('?');
    let ends = |it: char| it == '&' || it == '?' && !in_query;
    let value = &rest[start..];
    &value[..value.find(ends).unwrap_or(value.len())]
}

/// Whether a value is secret; `before` ends in its key. A value that is a URI itself may hold a
/// password.
fn is_secret(before: &str, value: &str) -> bool {
    let inside = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    let key = before.rsplit(|it| !inside(it)).next().unwrap_or_default().to_ascii_lowercase();
    let last = key.rsplit(['-', '_', '.']).next().unwrap_or_default();
    let named = KEYS.iter().any(|it| last == *it || it.len() >= 5 && last.ends_with(it));
    let nested = value.contains("://") || value.to_ascii_lowercase().contains("%3a%2f%2f");
    !value.is_empty() && (named || nested)
}
