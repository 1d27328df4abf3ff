//! Handwritten digits from a CSV file.

use std::{fs, path::Path};

use super::glyph::{GLYPH, Glyph};
use crate::Problem;

/// A digit and its label.
pub(super) type Scan = (Glyph, u8);

/// Height and width of a digit in the file.
const SIDE: usize = 8;

/// Value of white.
const WHITE: f64 = 16.0;

/// The digits of a file, at least one.
pub(super) fn read(path: &Path) -> Result<Vec<Scan>, Problem> {
    let wrong = |place: String, message: String| Problem::Digits { place, message };
    let file = path.display();
    let text = fs::read_to_string(path)
        .map_err(|it| wrong(file.to_string(), format!("cannot be read ({it})")))?;
    let lines = text.lines().enumerate().filter(|it| !it.1.trim().is_empty());
    let scans = lines.map(|(idx, line)| {
        scan(line).map_err(|message| wrong(format!("{file}:{}", idx + 1), message))
    });
    let scans = scans.collect::<Result<Vec<_>, _>>()?;
    if scans.is_empty() {
        return Err(wrong(file.to_string(), "is empty".into()));
    }
    Ok(scans)
}

fn scan(line: &str) -> Result<Scan, String> {
    let numbers = line.split(',').map(|it| {
        let number = it.trim().parse::<f64>();
        number.map_err(|_| format!("{:?} is not a number", it.trim()))
    });
    let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
    let [values @ .., label] = &numbers[..] else { return Err("is empty".into()) };
    if values.len() != SIDE * SIDE {
        return Err(format!("has {} columns", numbers.len()));
    }
    if let Some(value) = values.iter().find(|it| !(0.0..=WHITE).contains(*it)) {
        return Err(format!("the value {value} is not in 0 to 16"));
    }
    if !(0.0..=9.0).contains(label) || label.fract() != 0.0 {
        return Err(format!("the label {label} is not a digit"));
    }
    Ok((enlarged(values), *label as u8))
}

/// A glyph from `[8, 8]` values of 0 to 16, row by row, by linear interpolation.
fn enlarged(values: &[f64]) -> Glyph {
    let last = (SIDE - 1) as f64;
    Glyph::new(|point| {
        let [x, y] = point.map(|it| (it * SIDE as f64 / GLYPH as f64 - 0.5).clamp(0.0, last));
        let ([left, top], [right, bottom]) = ([x, y].map(f64::floor), [x, y].map(f64::ceil));
        let pixel = |column: f64, row: f64| values[row as usize * SIDE + column as usize] / WHITE;
        let line =
            |row: f64| (1.0 - (x - left)) * pixel(left, row) + (x - left) * pixel(right, row);
        (1.0 - (y - top)) * line(top) + (y - top) * line(bottom)
    })
}
