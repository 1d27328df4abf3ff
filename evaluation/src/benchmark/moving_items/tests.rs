use super::*;

/// A lopsided letter L.
fn letter() -> Item {
    let pixel = |it: usize| if it % 12 < 3 || it / 12 > 8 { 200 } else { 0 };
    Item::from_grey(12, 12, &(0..144).map(pixel).collect::<Vec<_>>())
}

fn config(frames: usize) -> MovingItemConfig {
    MovingItemConfig { size: 0.3, ..MovingItemConfig::new(64, 48, frames) }
}

#[test]
fn a_seed_gives_the_same_bytes_and_another_seed_others() {
    let item = letter();
    let video = |seed| MovingItemVideo::new(config(5), &item, None, seed).collect::<Vec<_>>();
    assert_eq!(video(1), video(1));
    assert_ne!(video(1)[0].rgb, video(2)[0].rgb);
}

#[test]
fn velocities_are_the_differences_of_positions_and_the_tint_stays() {
    let item = letter();
    let frames: Vec<_> = MovingItemVideo::new(config(30), &item, None, 4).collect();
    for pair in frames.windows(2) {
        let (now, then) = (pair[0].factors, pair[1].factors);
        assert!((now.x + now.vx - then.x).abs() < 1e-12);
        assert!((now.y + now.vy - then.y).abs() < 1e-12);
        assert_eq!(now.tint, then.tint);
        assert!(now.angle.abs() <= 0.8 && (0.5..=1.0).contains(&now.light));
    }
}

#[test]
fn the_centre_of_brightness_is_at_x_and_y_and_has_the_tint_and_the_light() {
    let black = Texture::new(&Picture::from_fn(8, 8, |_, _| [0; 3]));
    let (item, source) = (letter(), 200.0 * (36.0 + 27.0));
    for seed in 0..10 {
        for frame in MovingItemVideo::new(config(20), &item, Some(&black), seed) {
            let factors = frame.factors;
            let (mut sums, mut centre) = ([0.0; 3], [0.0; 2]);
            for (index, pixel) in frame.rgb.chunks_exact(3).enumerate() {
                (0..3).for_each(|c| sums[c] += f64::from(pixel[c]));
                let brightness: f64 = pixel.iter().map(|it| f64::from(*it)).sum();
                centre[0] += brightness * (index % 64) as f64;
                centre[1] += brightness * (index / 64) as f64;
            }
            let [x, y] = centre.map(|it| it / sums.iter().sum::<f64>());
            assert!((x - factors.x).abs() < 1.0, "x {x} of {factors:?}");
            assert!((y - factors.y).abs() < 1.0, "y {y} of {factors:?}");
            for (sum, tint) in sums.iter().zip(factors.tint) {
                let light = factors.scale * factors.scale * factors.light * f64::from(tint);
                assert!((sum / (source * light) - 1.0).abs() < 0.08, "of {factors:?}");
            }
        }
    }
}

#[test]
fn colour_images_are_items_too() {
    let picture = Picture::from_fn(16, 16, |_, _| [240, 240, 240]);
    let item = Item::from_picture(&picture);
    let black = Texture::new(&Picture::from_fn(8, 8, |_, _| [0; 3]));
    let frame = MovingItemVideo::new(config(1), &item, Some(&black), 1).next().unwrap();
    let (x, y) = (frame.factors.x.round() as usize, frame.factors.y.round() as usize);
    let light = frame.factors.light as f32 * frame.factors.tint[0];
    let red = f32::from(frame.rgb[(y * 64 + x) * 3]);
    assert!((red - 240.0 * light).abs() < 1.0);
}
