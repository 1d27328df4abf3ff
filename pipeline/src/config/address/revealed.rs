//! The real URI, and how its secrets are removed from messages.

use std::{cmp::Reverse, collections::BTreeMap, fmt, fmt::Write as _};

use gstreamer::glib;

use super::{
    Address, HIDDEN, Piece, SecretSources, UriParts,
    names::{Fragment, fragments},
};

/// Secrets shorter than this are replaced only together with their surroundings. Otherwise the text
/// would be unreadable, and its gaps would reveal them.
const SHORTEST: usize = 3;

/// The real URI of a stream. Only [`Revealed::as_str`] gives it.
#[derive(Clone)]
pub(crate) struct Revealed {
    uri: String,
    /// What is replaced in a text, the longest first, and by what.
    secrets: Vec<(String, String)>,
}

impl fmt::Debug for Revealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revealed")
    }
}

impl Revealed {
    /// A URI without secrets, as that of a file.
    pub(crate) fn public(uri: String) -> Self {
        Self { uri, secrets: Vec::new() }
    }

    pub(super) fn of(
        text: &str,
        parts: &UriParts<'_>,
        sources: &SecretSources<'_>,
    ) -> Result<Self, String> {
        let mut secrets = Secrets::default();
        let mut uri = parts.scheme.to_owned();
        if let Some(user) = parts.user {
            let user = encoded(user, sources)?;
            let password = encoded(parts.password.unwrap_or_default(), sources)?;
            // Without the colon rtspsrc refuses the URI.
            let user_info = format!("{user}:{password}@");
            uri += &user_info;
            secrets.add_user_info(&user, &password);
        }
        for piece in &parts.rest {
            let before = uri.len();
            for fragment in fragments(piece.text())? {
                match fragment {
                    Fragment::Literal(text) => uri += text,
                    Fragment::Name(name) => {
                        let value = sources.value(name)?;
                        secrets.add(&value, &format!("${{{name}}}"));
                        uri += &value;
                    }
                }
            }
            if matches!(piece, Piece::Secret(_)) {
                secrets.add(&uri[before..], HIDDEN);
            }
        }
        if uri.contains(char::is_control) {
            return Err("must not hold control characters".into());
        }
        secrets.add_as_written(text, parts);
        Ok(Self { uri, secrets: secrets.longest_first() })
    }

    /// The real URI, and what is replaced by what in messages about it.
    pub(crate) fn into_parts(self) -> (String, Vec<(String, String)>) {
        (self.uri, self.secrets)
    }

    /// The inverse of [`Revealed::into_parts`].
    pub(crate) fn from_parts(uri: String, secrets: Vec<(String, String)>) -> Self {
        Self { uri, secrets }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.uri
    }

    /// A text without the secrets, whether they are plain, percent-encoded or in base64. Secrets in
    /// other URIs, as in that of a redirection, are removed too.
    pub(crate) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (secret, shown) in &self.secrets {
            text = text.replace(secret, shown);
        }
        let words = text.split_inclusive(char::is_whitespace);
        words.map(|it| if it.contains("://") { without_secrets(it) } else { it.into() }).collect()
    }
}

/// Removes secrets from a word that holds a URI, perhaps in quotes.
fn without_secrets(word: &str) -> String {
    let inside = |it: char| it.is_ascii_alphanumeric() || "+-.".contains(it);
    let colon = word.find("://").unwrap_or(0);
    let start = word[..colon]
        .rfind(|it| !inside(it))
        .map_or(0, |at| at + word[at..].chars().next().map_or(1, char::len_utf8));
    let end = word.trim_end().len();
    format!("{}{}{}", &word[..start], Address::from(&word[start..end]), &word[end..])
}

/// What is replaced, and by what.
#[derive(Default)]
struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// Adds a secret in all of its forms.
    fn add(&mut self, secret: &str, shown: &str) {
        let plain = decoded(secret);
        for text in [secret, &plain] {
            let strict = encode(text, |_| false);
            for form in [text, &encode(text, is_delimiter), &lower(&strict), &strict] {
                if form.len() >= SHORTEST {
                    self.0.insert(form.to_owned(), shown.to_owned());
                }
            }
        }
    }

    /// Adds user and password, both percent-encoded.
    fn add_user_info(&mut self, user: &str, password: &str) {
        self.add(user, HIDDEN);
        self.add(password, HIDDEN);
        let plain = format!("{}:{}", decoded(user), decoded(password));
        // The padding may be missing.
        let base64 = glib::base64_encode(plain.as_bytes());
        self.0.insert(base64.trim_end_matches('=').into(), HIDDEN.into());
        self.0.insert(plain + "@", String::new());
        self.0.insert(format!("{user}:{password}@"), String::new());
    }

    /// Adds user and password as they stand in the URI, before they were encoded.
    fn add_as_written(&mut self, text: &str, parts: &UriParts<'_>) {
        let literal = |it: &&str| !it.contains("${");
        for part in [parts.user, parts.password].into_iter().flatten().filter(literal) {
            self.add(part, HIDDEN);
        }
        let rest: usize = parts.rest.iter().map(|it| it.text().len()).sum();
        let written = &text[parts.scheme.len()..text.len() - rest];
        if !written.is_empty() {
            self.0.insert(written.to_owned(), String::new());
        }
    }

    fn longest_first(self) -> Vec<(String, String)> {
        let mut secrets: Vec<_> = self.0.into_iter().collect();
        secrets.sort_by_key(|it| Reverse(it.0.len()));
        secrets
    }
}

/// Percent-encodes a user or password: all of a value, and of literal text only what must be
/// encoded.
fn encoded(text: &str, sources: &SecretSources<'_>) -> Result<String, String> {
    let mut encoded = String::new();
    for fragment in fragments(text)? {
        match fragment {
            Fragment::Literal(text) => {
                let kept = |rest: &str| is_delimiter(rest) || is_escape(rest);
                encoded += &encode(text, kept);
            }
            Fragment::Name(name) => encoded += &encode(&sources.value(name)?, |_| false),
        }
    }
    Ok(encoded)
}

/// Percent-encodes everything except letters, digits, `-._~` and where `kept` returns true.
fn encode(text: &str, kept: impl Fn(&str) -> bool) -> String {
    let mut encoded = String::new();
    for (at, letter) in text.char_indices() {
        if letter.is_ascii_alphanumeric() || "-._~".contains(letter) || kept(&text[at..]) {
            encoded.push(letter);
            continue;
        }
        for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
            write!(encoded, "%{byte:02X}").ok();
        }
    }
    encoded
}

/// Characters that may stand unencoded in a user or password.
fn is_delimiter(rest: &str) -> bool {
    rest.starts_with(|it: char| "!$&'()*+,;=:".contains(it))
}

fn is_escape(rest: &str) -> bool {
    let digits = rest.strip_prefix('%').and_then(|it| it.get(..2));
    digits.is_some_and(|it| it.chars().all(|it| it.is_ascii_hexdigit()))
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|it| std::str::from_utf8(it).ok());
        let byte = digits.and_then(|it| u8::from_str_radix(it, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// The same with lower-case digits in its escapes.
fn lower(encoded: &str) -> String {
    let mut pieces = encoded.split('%');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_at(piece.len().min(2));
        text = text + "%" + &digits.to_ascii_lowercase() + rest;
    }
    text
}
