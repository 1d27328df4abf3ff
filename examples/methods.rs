//! Times one optimizer step of every method on random frames, one line of JSON, for
//! `scripts/bench`:
//!
//! ```text
//! methods CLIPS SIDE ROUNDS
//! ```
//!
//! All have the same ViT-xs as their encoder. In a round every method makes one step, so that
//! what else the machine does meets all of them; the first round counts for none.

use std::error::Error;
use std::io::Write as _;
use std::time::Instant;

use model::{Clips, Config, Device, DeviceChoice, Input, Trainer, trainer};
use serde::Deserialize as _;
use serde_json::json;

/// Frames of a clip, what is encoded of it, and the method's table. Projectors are cut to one
/// size, and what must be as wide as they are follows.
const METHODS: [(usize, &str, &str); 17] = [
    (2, "2 frames", "name = 'tdv'\nhead.prototypes = 4096"),
    (3, "3 frames", "name = 'adassl'\nprojector = '2048-2048-512'\neditor = '2048-2048-512'"),
    (2, "4 fixations", "name = 'seq-jepa'\nobserved = 3\nview = [56, 56]"),
    (2, "2 frames", "name = 'simclr'\nprojector = '2048-2048-512'"),
    (2, "2 frames", "name = 'simclr-sq'\nprojector = '2048-2048-512'"),
    (2, "2 frames", "name = 'simclr-abs'\nprojector = '2048-2048-512'"),
    (2, "2 frames", "name = 'dcl'\nprojector = '2048-2048-512'"),
    (2, "2 frames", "name = 'dclw'\nprojector = '2048-2048-512'"),
    (2, "2 frames", "name = 'spectral'\nprojector = '2048-2048-512'"),
    (2, "2 frames", "name = 'vicreg'\nprojector = '2048-2048-512'"),
    (2, "2 frames", "name = 'vicreg-exp'\nprojector = '2048-2048-512'"),
    (2, "2 frames", "name = 'vicreg-ctr'\nprojector = '2048-2048-512'"),
    (2, "2 frames", "name = 'barlow-twins'\nprojector = '2048-2048-512'"),
    (2, "2 frames", "name = 'lejepa'\nprojector = '2048-2048-512'"),
    (2, "2 frames", "name = 'tico'\nprojector = '2048-2048-512'"),
    (2, "2 frames", "name = 'byol'\nprojector = '2048-2048-512'\npredictor = '2048-512'"),
    (2, "2 frames", "name = 'simsiam'\nprojector = '2048-2048-512'\npredictor = '512-512'"),
];

/// A method at work.
struct Timed {
    name: String,
    encodes: &'static str,
    trainer: Box<dyn Trainer>,
    clips: Clips,
    seconds: Vec<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Result<Vec<usize>, _> = std::env::args().skip(1).map(|it| it.parse()).collect();
    let [clips, side, rounds] = numbers?[..] else {
        return Err("usage: methods CLIPS SIDE ROUNDS".into());
    };
    let device = DeviceChoice::Cpu.open()?;
    let all = METHODS.iter().map(|it| Timed::new(*it, [clips, side], &device));
    let mut all: Vec<Timed> = all.collect::<Result<_, _>>()?;
    for _ in 0..=rounds {
        for timed in &mut all {
            let begun = Instant::now();
            // Reading the report waits until the step is done.
            timed.trainer.step(&timed.clips, true)?;
            timed.seconds.push(begun.elapsed().as_secs_f64());
        }
    }
    let rows: Vec<_> = all.iter_mut().map(Timed::row).collect();
    let line = json!({ "clips": clips, "size": side, "rounds": rounds, "methods": rows });
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

impl Timed {
    fn new(
        (frames, encodes, method): (usize, &'static str, &str),
        [clips, side]: [usize; 2],
        device: &Device,
    ) -> Result<Self, Box<dyn Error>> {
        let text = "encoder.size = 'xs'\ntrain = { steps = 1000, warmup = 0 }\n[method]\n";
        let table: toml::Table = toml::from_str(&format!("{text}{method}"))?;
        let name = table["method"]["name"].as_str().unwrap_or_default().to_owned();
        let config = Config::deserialize(table)?;
        let trainer = trainer(&config, Input::frames([side, side], frames), 0, device)?;
        let shape = [clips, frames, side, side, 3];
        let pixels = (0..shape.iter().product::<usize>())
            .map(|it| (it.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let clips = Clips::upload(pixels, shape, device);
        Ok(Self { name, encodes, trainer, clips, seconds: Vec::new() })
    }

    fn row(&mut self) -> serde_json::Value {
        let seconds = &mut self.seconds[1..];
        seconds.sort_by(f64::total_cmp);
        let parameters: usize = self.trainer.parameters().iter().map(|it| it.1).sum();
        json!({
            "name": self.name, "encodes": self.encodes, "parameters": parameters,
            "median_s": seconds[seconds.len() / 2],
            "least_s": seconds[0], "most_s": seconds[seconds.len() - 1],
        })
    }
}
