//! Labelled images in motion, as one video each.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use evaluation::benchmark::{
    Item, LabelledImages, MovingItemConfig, MovingItemVideo, Split, items,
};
use pipeline::VideoFile;
use rayon::prelude::*;

use super::{MakeArguments, create};

/// Side of a frame in pixels.
const SIDE: usize = 64;

/// Frames of a video, and how many are shown in a second: two seconds.
const FRAMES: usize = 16;
const FPS: u32 = 8;

/// Makes the videos, and says how many.
pub(super) fn make(
    folder: &Path,
    images: &Path,
    arguments: &MakeArguments,
) -> anyhow::Result<String> {
    let MakeArguments { train, test, seed, .. } = *arguments;
    let [(train_images, from), (test_images, test_from)] = &read(images, seed)?;
    for (wanted, there, option) in
        [(train, from.len(), "--train"), (test, test_from.len(), "--test")]
    {
        ensure!(
            wanted <= there,
            "{} has {there} images for {option} {wanted}: ask for at most as many",
            images.display()
        );
    }
    part(folder, "train", train_images, &from[..train], 2 * seed)?;
    part(folder, "test", test_images, &test_from[..test], 2 * seed + 1)?;
    Ok(format!(
        "  items: {train} videos to learn from and {test} to test on, {SIDE} x {SIDE}, {FRAMES} \
         frames\n"
    ))
}

/// The images to learn from and those to test on, with the numbers of those to be used.
fn read(path: &Path, seed: u64) -> anyhow::Result<[(LabelledImages, Vec<usize>); 2]> {
    if !path.is_dir() {
        let digits = LabelledImages::read_digits(path)?;
        let train = items(digits.len(), Split::Train, seed);
        let test = items(digits.len(), Split::Query, seed);
        return Ok([(digits.clone(), train), (digits, test)]);
    }
    let read = |name: &str| {
        let file = |kind: &str| {
            let plain = path.join(format!("{name}-{kind}-ubyte"));
            if plain.is_file() { plain } else { path.join(format!("{name}-{kind}-ubyte.gz")) }
        };
        LabelledImages::read_idx(&file("images-idx3"), &file("labels-idx1"))
    };
    let all = |images: LabelledImages| {
        let count = images.len();
        (images, (0..count).collect())
    };
    Ok([all(read("train")?), all(read("t10k")?)])
}

fn part(
    folder: &Path,
    name: &str,
    images: &LabelledImages,
    chosen: &[usize],
    seed: u64,
) -> anyhow::Result<()> {
    let place = |class: u8| format!("{name}/{class}");
    let mut classes: Vec<u8> = chosen.iter().map(|it| images.labels[*it]).collect();
    classes.sort_unstable();
    classes.dedup();
    for class in classes {
        create(&folder.join(place(class)))?;
        create(&folder.join("factors").join(place(class)))?;
    }
    chosen.par_iter().try_for_each(|image| {
        let item = Item::from_grey(images.width, images.height, images.image(*image));
        let file = format!("{}/{image:05}", place(images.labels[*image]));
        let config = MovingItemConfig::new(SIDE, SIDE, FRAMES);
        // Every video has a seed of its own.
        let seed = seed.wrapping_mul(1 << 32).wrapping_add(*image as u64);
        let mut video = VideoFile::create(&folder.join(format!("{file}.mp4")), [SIDE; 2], FPS)?;
        let mut factors = "time,x,y,vx,vy,scale,angle,light,red,green,blue\n".to_owned();
        for (idx, frame) in MovingItemVideo::new(config, &item, None, seed).enumerate() {
            video.write(&frame.rgb)?;
            let it = frame.factors;
            let [red, green, blue] = it.tint;
            let time = idx as f64 / f64::from(FPS);
            let _ = writeln!(
                factors,
                "{time},{},{},{},{},{},{},{},{red},{green},{blue}",
                it.x, it.y, it.vx, it.vy, it.scale, it.angle, it.light
            );
        }
        video.finish()?;
        let path = folder.join("factors").join(format!("{file}.csv"));
        fs::write(&path, factors).with_context(|| format!("could not write {}", path.display()))
    })
}
