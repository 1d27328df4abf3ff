//! Names of a run's checkpoints: `checkpoints/step-00000450/SHA256SUMS`.

/// The folder of all checkpoints, in a run's folder.
pub const CHECKPOINTS: &str = "checkpoints";

/// The file with the checksums of a checkpoint's other files. It is written last: a checkpoint with
/// this file is complete.
pub const CHECKSUMS: &str = "SHA256SUMS";

/// The name of what belongs to an optimizer step, for example `step-00000450`.
pub fn step_name(step: u64) -> String {
    format!("step-{step:08}")
}

/// The step in a name that [`step_name`] made, or `None` for any other name.
pub fn parse_step(name: &str) -> Option<u64> {
    name.strip_prefix("step-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_back_from_its_name() {
        assert_eq!(step_name(450), "step-00000450");
        for step in [0, 450, 99_999_999, 100_000_000] {
            assert_eq!(parse_step(&step_name(step)), Some(step));
        }
        for name in ["450", "step-", "step-2.tmp", ".step-00000450.tmp", "other"] {
            assert_eq!(parse_step(name), None, "{name}");
        }
    }
}
