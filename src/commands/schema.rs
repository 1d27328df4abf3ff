//! `onward schema`: the JSON Schema of a config, for editors that complete and check TOML.

use crate::Config;
use crate::terminal::print;

/// Prints the schema.
pub(crate) fn run() -> anyhow::Result<()> {
    let schema = schemars::schema_for!(Config);
    print::out(&format!("{}\n", serde_json::to_string_pretty(&schema)?))
}
