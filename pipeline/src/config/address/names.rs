//! Names of values that are kept elsewhere: `${NAME}`.

use std::{env, ffi::OsString, fs, io, path::PathBuf};

/// A piece of a text with names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fragment<'a> {
    Literal(&'a str),
    Name(&'a str),
}

/// Splits a text at its `${NAME}`.
pub(super) fn fragments(text: &str) -> Result<Vec<Fragment<'_>>, String> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').filter(|it| is_name(it.0)).ok_or(
            "`${` must be followed by a name of letters, digits, `_`, `-` or `.`, and by `}`; \
             where it names nothing, write `$%7B`",
        )?;
        found.extend([Fragment::Literal(before), Fragment::Name(name)]);
        rest = after;
    }
    found.push(Fragment::Literal(rest));
    found.retain(|it| !matches!(it, Fragment::Literal("")));
    Ok(found)
}

/// Whether a text consists of one or more `${NAME}` and nothing else.
pub(super) fn is_names(text: &str) -> bool {
    let name = |it: &Fragment<'_>| matches!(it, Fragment::Name(_));
    fragments(text).is_ok_and(|it| !it.is_empty() && it.iter().all(name))
}

fn is_name(text: &str) -> bool {
    let inside = |it: char| it.is_ascii_alphanumeric() || "_-.".contains(it);
    !text.is_empty() && !text.starts_with('.') && text.chars().all(inside)
}

/// Where values are found.
pub(super) struct SecretSources<'a> {
    pub(super) variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The folder that systemd's `LoadCredential` fills.
    pub(super) credentials: Option<PathBuf>,
}

impl SecretSources<'_> {
    pub(super) fn of_process() -> Self {
        let credentials = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self { variable: &|name| env::var_os(name), credentials }
    }

    /// The value of a name. The error says where it was searched.
    pub(super) fn value(&self, name: &str) -> Result<String, String> {
        if let Some(value) = (self.variable)(name) {
            let text = value.into_string();
            return text.map_err(|_| format!("${{{name}}}: the variable {name} is not UTF-8"));
        }
        let missing = format!("${{{name}}} has no value: there is no environment variable {name}");
        let Some(folder) = &self.credentials else {
            return Err(format!(
                "{missing}, and no $CREDENTIALS_DIRECTORY with a file {name} either; set one of \
                 them"
            ));
        };
        let path = folder.join(name);
        let mut text = fs::read_to_string(&path).map_err(|err| match err.kind() {
            io::ErrorKind::NotFound => {
                format!("{missing}, and no file {} either; set one of them", path.display())
            }
            _ => format!("${{{name}}}: {} cannot be read: {err}", path.display()),
        })?;
        if text.ends_with('\n') {
            text.pop();
            text.truncate(text.strip_suffix('\r').map_or(text.len(), str::len));
        }
        Ok(text)
    }
}
