//! Times training steps of TDV on random frames and prints one line of JSON, for `scripts/bench`:
//!
//! ```text
//! step SIZE CLIPS FRAMES SIDE PROTOTYPES STEPS
//! ```

use std::io::Write as _;
use std::time::Instant;

use model::{
    Clips, Config, DeviceChoice, EncoderConfig, Input, MethodConfig, TrainConfig, VitSize, trainer,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |idx: usize| arguments[idx].parse::<usize>().expect("a number");
    let [clips, frames, side, prototypes, steps] = [1, 2, 3, 4, 5].map(number);
    let size = match arguments[0].as_str() {
        "xs" => VitSize::Xs,
        "s" => VitSize::S,
        "b" => VitSize::B,
        other => panic!("unknown size {other}; write xs, s or b"),
    };
    let mut method = model::method::tdv::Config::default();
    method.head.prototypes = prototypes;
    let config = Config {
        encoder: EncoderConfig { size: Some(size), ..Default::default() },
        method: MethodConfig::Tdv(method),
        train: TrainConfig { steps: 1000, warmup: Some(0), ..TrainConfig::default() },
        embed: Default::default(),
        precision: Default::default(),
    };
    let device = DeviceChoice::Cpu.open().expect("the CPU");
    let mut trainer =
        trainer(&config, Input::frames([side, side], frames), 0, &device).expect("a valid config");
    let shape = [clips, frames, side, side, 3];
    let pixels: Vec<u8> = (0..shape.iter().product::<usize>())
        .map(|it| (it.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();

    let mut loss = f32::NAN;
    let mut step = || {
        let (begun, cpu) = (Instant::now(), cpu_seconds());
        let clips = Clips::upload(pixels.clone(), shape, &device);
        let report = trainer.step(&clips, true).expect("a finite loss").expect("was asked for");
        loss = report.values[0].1;
        (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu)
    };
    step();
    let (mut wall, cpu): (Vec<f64>, Vec<f64>) = (0..steps).map(|_| step()).unzip();
    wall.sort_by(f64::total_cmp);
    let median = wall[steps / 2];
    let cpu = cpu.iter().sum::<f64>() / steps as f64;
    let name = format!("onward {}", env!("CARGO_PKG_VERSION"));
    let line = format!(
        "{{\"name\": \"{name}\", \"config\": \"{}\", \"clips\": {clips}, \"frames\": {frames}, \
         \"size\": {side}, \"prototypes\": {prototypes}, \"steps\": {steps}, \"loss\": {loss}, \
         \"median_s\": {median:.4}, \"cpu_s_per_step\": {cpu:.4}, \"stages\": {{}}}}\n",
        arguments[0]
    );
    std::io::stdout().write_all(line.as_bytes()).expect("a reader");
}

/// CPU seconds that this process has used, from clock ticks of 1/100 s.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    (11..13).map(|idx| fields[idx].parse::<f64>().expect("ticks")).sum::<f64>() / 100.0
}
