//! Checks of a loss's constants. An error names the key in `[model.method.loss]` and the value.

use crate::validate::is_positive;
use crate::{Error, Result};

/// Requires a finite number above 0.
pub(super) fn positive(key: &str, value: f64) -> Result<()> {
    require(is_positive(value), key, "must be a number above 0", value)
}

/// Requires a finite number of at least 0.
pub(super) fn weight(key: &str, value: f64) -> Result<()> {
    require(value >= 0.0 && value.is_finite(), key, "must be a number of at least 0", value)
}

/// Requires a number from 0 to 1.
pub(super) fn share(key: &str, value: f64) -> Result<()> {
    require((0.0..=1.0).contains(&value), key, "must be from 0 to 1", value)
}

/// Requires `holds`; the error repeats the value.
pub(super) fn require(
    holds: bool,
    key: &str,
    message: &str,
    value: impl std::fmt::Debug,
) -> Result<()> {
    if holds {
        return Ok(());
    }
    let message = format!("{message}, not {value:?}");
    Err(Error::Config { key: format!("model.method.loss.{key}"), message })
}

#[cfg(test)]
mod tests {
    use super::super::{Criterion as _, CtrReading, Positives, SimClr, SimClrSq, TiCo};
    use super::super::{VicReg, VicRegCtr};
    use super::*;

    fn error(result: Result<()>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_value_is_named_by_its_key() {
        let wrong = SimClr { temperature: 0.0 };
        let message = "model.method.loss.temperature: must be a number above 0, not 0.0";
        assert_eq!(error(wrong.validate()), message);
        let wrong = VicReg { std_coeff: -1.0, ..VicReg::default() };
        assert!(error(wrong.validate()).starts_with("model.method.loss.std_coeff: "));
        let wrong = TiCo { beta: f64::NAN, ..TiCo::default() };
        assert!(error(wrong.validate()).starts_with("model.method.loss.beta: "));
    }

    #[test]
    fn tables_are_strict_and_have_defaults() {
        let config: VicRegCtr = serde_json::from_str(r#"{"reading": "literal"}"#).unwrap();
        assert_eq!((config.reading, config.sim_coeff), (CtrReading::Literal, 25.0));
        let config: SimClrSq = serde_json::from_str(r#"{"positives": "transformed"}"#).unwrap();
        assert_eq!(config.positives, Positives::Transformed);
        assert!(serde_json::from_str::<VicReg>(r#"{"std_coef": 1.0}"#).is_err());
    }
}
