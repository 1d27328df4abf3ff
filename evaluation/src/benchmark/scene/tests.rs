use super::*;
use crate::benchmark::Picture;

fn textured(source: usize, width: usize, height: usize) -> Picture {
    let noise =
        super::super::background::noise(255.0, &mut generator(source as u64, Purpose::Noise, 0));
    let sampler = noise.sampler(1.0);
    Picture::from_fn(width, height, |x, y| {
        sampler.sample(x as f64 * 0.7, y as f64 * 0.7).map(super::super::image::byte)
    })
}

struct World {
    backgrounds: Vec<Texture>,
    objects: Vec<Object>,
}

impl World {
    fn new() -> Self {
        let pictures: Vec<_> = (0..3).map(|it| textured(it, 128, 100)).collect();
        let object = |it: usize| Object::cut(&pictures[it % 3], it % 3, it as u32, 7);
        let objects = (0..36).map(object).collect();
        Self { backgrounds: pictures.iter().map(Texture::new).collect(), objects }
    }

    fn video(&self, difficulty: Difficulty, frames: usize, seed: u64) -> SceneVideo<'_> {
        let config = SceneConfig { width: 96, height: 80, frames, difficulty };
        SceneVideo::new(config, &self.backgrounds, &self.objects, seed)
    }
}

#[test]
fn a_seed_gives_the_same_bytes_and_another_seed_others() {
    let (world, again) = (World::new(), World::new());
    let frames: Vec<_> = world.video(Difficulty::Hard, 4, 1).collect();
    assert_eq!(frames.len(), 4);
    assert_eq!(frames, again.video(Difficulty::Hard, 4, 1).collect::<Vec<_>>());
    assert_ne!(frames[0].rgb, world.video(Difficulty::Hard, 4, 2).next().unwrap().rgb);
}

#[test]
fn a_pixel_belongs_to_the_nearest_object_over_it() {
    let world = World::new();
    let video = world.video(Difficulty::Hard, 30, 3);
    let mut overlaps = 0;
    for (index, frame) in video.clone().enumerate() {
        for (pixel, &shown) in frame.mask.iter().enumerate() {
            let point = [(pixel % 96) as f64, (pixel / 96) as f64];
            let over: Vec<_> = (0..video.actors.len())
                .filter(|&it| {
                    let (object, motion) = &video.actors[it];
                    object.outline.distance(motion.pose(index).locate(point)) >= 0.0
                })
                .collect();
            overlaps += usize::from(over.len() > 1);
            let nearest = over.iter().min_by_key(|it| frame.states[**it].depth);
            assert_eq!(usize::from(shown), nearest.map_or(0, |it| it + 1));
        }
    }
    assert!(overlaps > 100, "only {overlaps} pixels have several objects");
}

#[test]
fn flow_leads_to_the_same_surface_and_colour_unless_it_is_hidden() {
    let world = World::new();
    for difficulty in Difficulty::ALL {
        let frames: Vec<_> = world.video(difficulty, 12, 5).collect();
        let (mut arrived, mut hidden, mut errors) = (0, 0, 0.0);
        for pair in frames.windows(2) {
            let (now, then) = (&pair[0], &pair[1]);
            let [now_picture, then_picture] =
                [now, then].map(|it| Picture::new(96, 80, it.rgb.clone()));
            let light = (then.light / now.light) as f32;
            for (pixel, flow) in now.flow.iter().enumerate() {
                let (column, row) = (pixel % 96, pixel / 96);
                let (x, y) = (column as f32 + flow[0], row as f32 + flow[1]);
                let inside = (1.0..94.0).contains(&x) && (1.0..78.0).contains(&y);
                if !inside || !is_interior(&now.mask, column, row) {
                    continue;
                }
                let (to_column, to_row) = (x.round() as usize, y.round() as usize);
                let found = then.mask[to_row * 96 + to_column];
                if found != now.mask[pixel] || !is_interior(&then.mask, to_column, to_row) {
                    // Only an object in front, or an outline at the rounded pixel, is in the way.
                    hidden += 1;
                    assert!(
                        found >= now.mask[pixel] || !is_interior(&then.mask, to_column, to_row)
                    );
                    continue;
                }
                arrived += 1;
                let from = now_picture.pixel(column, row).map(|it| f32::from(it) * light);
                let to = then_picture.sample(f64::from(x), f64::from(y));
                let error = (0..3).map(|c| (from[c] - to[c]).abs()).fold(0.0, f32::max);
                errors += error;
                assert!(error < 12.0, "{error} at {column}, {row} of {difficulty:?}");
            }
        }
        let mean = errors / arrived as f32;
        assert!(mean < 1.0, "mean error {mean} of {difficulty:?}");
        assert!(arrived > 10 * 96 * 80 / 4, "{arrived} arrived, {hidden} hidden");
    }
}

/// Whether a pixel and its neighbours show one surface.
fn is_interior(mask: &[u8], column: usize, row: usize) -> bool {
    (row.saturating_sub(1)..(row + 2).min(80)).all(|y| {
        (column.saturating_sub(1)..(column + 2).min(96))
            .all(|x| mask[y * 96 + x] == mask[row * 96 + column])
    })
}

#[test]
fn velocities_are_the_differences_of_positions() {
    let world = World::new();
    let frames: Vec<_> = world.video(Difficulty::Medium, 20, 1).collect();
    for pair in frames.windows(2) {
        for (now, then) in pair[0].states.iter().zip(&pair[1].states) {
            assert_eq!(now.identity, then.identity);
            assert!((now.x + now.vx - then.x).abs() < 1e-12);
            assert!((now.y + now.vy - then.y).abs() < 1e-12);
        }
    }
}

#[test]
fn a_state_says_what_the_mask_shows() {
    let world = World::new();
    let (mut whole, mut partial) = (0, 0);
    for frame in world.video(Difficulty::Hard, 30, 3) {
        for (index, state) in frame.states.iter().enumerate() {
            assert!((0.0..=1.0).contains(&state.visible_share));
            if state.visible_share < 1.0 {
                partial += 1;
                continue;
            }
            whole += 1;
            let pixels = || (0..frame.mask.len()).filter(|&it| frame.mask[it] == index as u8 + 1);
            let count = pixels().count() as f64;
            let x = pixels().map(|it| (it % 96) as f64).sum::<f64>() / count;
            let y = pixels().map(|it| (it / 96) as f64).sum::<f64>() / count;
            assert!((x - state.x).abs() < 0.5 && (y - state.y).abs() < 0.5);
            let radius = (count / std::f64::consts::PI).sqrt();
            assert!((radius - state.scale).abs() < 0.4, "{radius} and {}", state.scale);
            let red = pixels().map(|it| f64::from(frame.rgb[it * 3])).sum::<f64>() / count;
            assert!((red - f64::from(state.mean_colour[0])).abs() < 8.0, "mean red {red}");
        }
    }
    assert!(whole > 20 && partial > 20, "{whole} whole and {partial} partly hidden objects");
}

#[test]
fn difficulties_are_in_order() {
    let world = World::new();
    let measured = Difficulty::ALL.map(|difficulty| {
        let videos = (0..10).map(|seed| world.video(difficulty, 40, seed));
        let frames: Vec<_> = videos.flatten().collect();
        let states: Vec<_> = frames.iter().flat_map(|it| &it.states).collect();
        let speed = |it: &&ObjectState| (it.vx * it.vx + it.vy * it.vy).sqrt();
        let visible = states.iter().map(|it| it.visible_share).sum::<f64>();
        let darkest = frames.iter().map(|it| it.light).fold(1.0, f64::min);
        [
            states.len() as f64 / frames.len() as f64,
            states.iter().map(speed).sum::<f64>() / states.len() as f64,
            1.0 - visible / states.len() as f64,
            1.0 - darkest,
        ]
    });
    for pair in measured.windows(2) {
        for (easier, harder) in pair[0].iter().zip(pair[1]) {
            assert!(*easier < harder, "{measured:?}");
        }
    }
}

#[test]
fn hard_scenes_take_objects_from_the_background_and_easy_ones_do_not() {
    let world = World::new();
    let source = |background, difficulty: Difficulty| {
        let settings = difficulty.settings();
        let rng = &mut generator(1, Purpose::Scene, 0);
        let chosen = choose(&world.objects, background, 3, settings.camouflage, rng);
        chosen.iter().filter(|it| it.source == background).count()
    };
    assert_eq!([0, 1, 2].map(|it| source(it, Difficulty::Easy)), [0; 3]);
    assert_eq!([0, 1, 2].map(|it| source(it, Difficulty::Hard)), [3; 3]);
}

#[test]
fn no_more_objects_are_shown_than_there_are() {
    let world = World::new();
    let config = SceneConfig { width: 32, height: 32, frames: 1, difficulty: Difficulty::Hard };
    let frame = SceneVideo::new(config, &world.backgrounds, &world.objects[..2], 1).next().unwrap();
    assert_eq!(frame.states.len(), 2);
}
