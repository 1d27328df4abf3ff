//! What must hold for every method. Each claim is a test over the one list of configurations in
//! `cases`, and a failure names the configuration.
//!
//! ```text
//! gradients   reach every trained parameter, and do not depend on the parts of a batch
//! teachers    are the moving average of their students and nothing else
//! reports     repeat, are finite and complete
//! tables      refuse unknown keys, and name the key of a wrong value
//! adassl      warns at its thresholds, and samples futures
//! files       hold weights under the names that others read
//! resumes     are bit-identical to uninterrupted runs
//! encoders    start from files, and do not change when frozen
//! ```

mod adassl;
mod cases;
mod encoders;
mod files;
mod gradients;
mod harness;
mod reports;
mod resumes;
mod tables;
mod teachers;
