//! What must hold for every method, whichever it is. Each claim is a test over the one list of
//! configurations in `cases`, and fails by the configuration's name.
//!
//! ```text
//! gradients   reach all that learns, whatever the parts a batch is worked in
//! teachers    are the moving average of their students and nothing else
//! reports     repeat, are finite and complete
//! tables      refuse what they do not know, and name what is wrong
//! adassl      warns at its thresholds, and draws futures
//! files       hold weights under the names that others read
//! resumes     goes on bit for bit from what was saved
//! encoders    start from files, stay when frozen, and leave alone what is behind them
//! ```

mod adassl;
mod bare;
mod cases;
mod encoders;
mod files;
mod gradients;
mod reports;
mod resumes;
mod tables;
mod teachers;
