//! The reason of an object store's error, in few words.

use std::error::Error;
use std::fmt;

/// An object store's error. Its message repeats the messages of its sources; this prints each of
/// them once.
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
