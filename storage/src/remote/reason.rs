//! Why a store refused, in few words.

use std::error::Error;
use std::fmt;

/// A store's error. What it says, it repeats in its sources: here everything is said once.
#[derive(Debug)]
pub struct Reason(pub(super) object_store::Error);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut source = self.0.source();
        while let Some(reason) = source {
            let reason_text = reason.to_string();
            if !text.contains(&reason_text) {
                text = format!("{text}: {reason_text}");
            }
            source = reason.source();
        }
        f.write_str(&text)
    }
}

impl Error for Reason {}
