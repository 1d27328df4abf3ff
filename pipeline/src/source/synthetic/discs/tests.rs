use super::*;

const SIZE: [usize; 2] = [48, 64];

fn draw(config: &Synthetic, time: f64) -> Arc<[u8]> {
    let scene = Arc::new(config.scene());
    DiscsFrame { scene, time, inverted: false }.draw(SIZE)
}

/// Centre, in pixels, of what differs from the background.
fn centre(config: &Synthetic, time: f64) -> [f64; 2] {
    let background = draw(&Synthetic { shapes: 0, ..config.clone() }, time);
    let picture = draw(config, time);
    let (mut mass, mut sum) = (0.0, [0.0; 2]);
    for (idx, (a, b)) in picture.chunks(3).zip(background.chunks(3)).enumerate() {
        let differs = f64::from(u8::from(a.iter().zip(b).any(|(a, b)| a.abs_diff(*b) > 8)));
        mass += differs;
        sum[0] += differs * ((idx % SIZE[1]) as f64 + 0.5);
        sum[1] += differs * ((idx / SIZE[1]) as f64 + 0.5);
    }
    sum.map(|it| it / mass)
}

#[test]
fn shapes_are_where_position_says() {
    let config = Synthetic { shapes: 1, velocity: Some([0.2, -0.1]), seed: 5, ..default() };
    let mut checked = 0;
    for step in 0..50 {
        let time = f64::from(step) * 0.1;
        let position = config.position(0, time);
        // A disc on the border is in two places, and has no centre.
        if position.iter().any(|it| !(0.25..0.75).contains(it)) {
            continue;
        }
        let found = centre(&config, time);
        let error = (found[0] - position[0] * 64.0).hypot(found[1] - position[1] * 48.0);
        assert!(error < 0.6, "at {time}: {found:?}, {position:?}");
        checked += 1;
    }
    assert!(checked > 5, "only {checked} positions were away from the border");
}

#[test]
fn the_pattern_moves_with_its_shape() {
    // One column to the right in one second shifts the pattern inside the disc.
    let config = Synthetic { shapes: 1, velocity: Some([1.0 / 64.0, 0.0]), ..default() };
    let [x, y] = config.position(0, 0.0);
    let (column, row) = ((x * 64.0) as usize % 63, (y * 48.0) as usize);
    let at = |picture: &[u8], column: usize| picture[(row * 64 + column) * 3];
    let (before, after) = (draw(&config, 0.0), draw(&config, 1.0));
    assert!(at(&before, column).abs_diff(at(&after, column + 1)) <= 1);
    assert_ne!(before, after);
}

#[test]
fn velocity_is_the_derivative_of_position() {
    let config = Synthetic { seed: 9, ..default() };
    for shape in 0..3 {
        let [a, b] = [0.0, 0.5].map(|it| config.position(shape, it));
        for axis in 0..2 {
            let moved = offset(b[axis] - a[axis]);
            assert!((moved - 0.5 * config.velocity(shape)[axis]).abs() < 1e-9);
        }
    }
}

fn default() -> Synthetic {
    Synthetic::default()
}
