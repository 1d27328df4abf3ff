//! Checks of values in the `[model]` table.

use crate::{Error, Result};

/// Whether a value is finite and above 0.
pub(crate) fn is_positive(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

/// An error about a key of `[model.method]`.
pub(crate) fn wrong(key: &str, message: &str) -> Result<()> {
    Err(Error::Config { key: format!("model.method.{key}"), message: message.into() })
}

/// An error about a key of `[model.method]`, unless `holds`.
pub(crate) fn ensure(holds: bool, key: &str, message: &str) -> Result<()> {
    if holds { Ok(()) } else { wrong(key, message) }
}
