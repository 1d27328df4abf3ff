use super::*;

fn limits(cut: f64, light: f64, static_below: f64) -> SceneLimits {
    SceneLimits::new(&ClipConfig {
        cut_threshold: cut,
        light_threshold: light,
        skip_static: static_below,
        ..ClipConfig::new(2, 1.0)
    })
}

/// The change between two frames of one colour each.
fn change(limits: SceneLimits, colours: [[u8; 3]; 2]) -> Change {
    let frames = colours.map(|it| it.repeat(20));
    limits.change([0, 1].map(|it| (&frames[it][..], limits.light(&frames[it]))))
}

#[test]
fn light_is_the_mean_brightness_and_the_mean_spread_of_colours() {
    let light = Light::of(&[255, 0, 51, 102, 102, 102]);
    assert!((light.brightness - 612.0 / 1530.0).abs() < 1e-12, "{light:?}");
    assert!((light.colourfulness - 0.5).abs() < 1e-12, "{light:?}");
}

#[test]
fn brightness_that_jumps_is_a_change_of_light_both_ways() {
    let limits = limits(0.0, 0.2, 0.0);
    let grey = |it| [it; 3];
    for (other, expected) in [
        (150, None),
        (152, Some(FrameOutcome::LightChange)),
        (255, Some(FrameOutcome::LightChange)),
    ] {
        let pair = [grey(100), grey(other)];
        assert_eq!(change(limits, pair).break_reason, expected, "{other}");
        assert_eq!(change(limits, [pair[1], pair[0]]).break_reason, expected, "{other}");
    }
}

#[test]
fn colour_that_goes_is_a_change_of_light_and_colour_that_fades_is_not() {
    let limits = limits(0.25, 0.2, 0.0);
    let spread = |it: u8| [100 + it, 100, 100];
    // 5 of 255 is just under 0.02, and 11 just over 0.04.
    for (from, to, expected) in [
        (40, 0, Some(FrameOutcome::LightChange)),
        (0, 40, Some(FrameOutcome::LightChange)),
        (11, 5, Some(FrameOutcome::LightChange)),
        (40, 6, None),
        (10, 0, None),
        (60, 20, None),
        (3, 1, None),
    ] {
        assert_eq!(
            change(limits, [spread(from), spread(to)]).break_reason,
            expected,
            "{from} {to}"
        );
    }
}

#[test]
fn what_moves_under_the_same_light_is_no_change_of_light() {
    let limits = limits(0.0, 0.05, 0.0);
    let scene = |at: usize| -> Vec<u8> {
        (0..100).flat_map(|it| if it / 20 == at { [250, 20, 20] } else { [90, 110, 130] }).collect()
    };
    let frames = [scene(0), scene(3)];
    let change = limits.change([0, 1].map(|it| (&frames[it][..], limits.light(&frames[it]))));
    assert_eq!(change.break_reason, None);
}

#[test]
fn a_cut_comes_before_a_change_of_light() {
    let both = [[20; 3], [220; 3]];
    assert_eq!(change(limits(0.25, 0.2, 0.0), both).break_reason, Some(FrameOutcome::SceneCut));
    assert_eq!(change(limits(0.0, 0.2, 0.0), both).break_reason, Some(FrameOutcome::LightChange));
    assert_eq!(change(limits(1.0, 1.0, 0.0), both).break_reason, None);
}

#[test]
fn differences_are_computed_only_if_a_check_needs_them() {
    let pair = [[100; 3], [151; 3]];
    assert_eq!(change(limits(0.0, 0.5, 0.0), pair).difference, 0.0);
    for limits in [limits(0.5, 0.0, 0.0), limits(0.0, 0.0, 0.5)] {
        assert!((change(limits, pair).difference - 0.2).abs() < 1e-12);
    }
    assert!(!limits(0.5, 0.5, 0.0).is_static(0.0));
    assert!(limits(0.0, 0.0, 0.01).is_static(0.0) && !limits(0.0, 0.0, 0.01).is_static(0.01));
}
