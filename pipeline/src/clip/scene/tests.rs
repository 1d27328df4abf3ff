use super::*;

fn limits(cut: f64, light: f64, still: f64) -> Limits {
    Limits::new(&ClipConfig {
        cut_threshold: cut,
        light_threshold: light,
        skip_static: still,
        ..ClipConfig::new(2, 1.0)
    })
}

/// What happens between two pictures of one colour each.
fn change(limits: Limits, colours: [[u8; 3]; 2]) -> Change {
    let pictures = colours.map(|it| it.repeat(20));
    limits.change([0, 1].map(|it| (&pictures[it][..], limits.light(&pictures[it]))))
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
    for (other, expected) in [(150, None), (152, Some(Reason::Light)), (255, Some(Reason::Light))] {
        let pair = [grey(100), grey(other)];
        assert_eq!(change(limits, pair).breaks, expected, "{other}");
        assert_eq!(change(limits, [pair[1], pair[0]]).breaks, expected, "{other}");
    }
}

#[test]
fn colour_that_goes_is_a_change_of_light_and_colour_that_fades_is_not() {
    let limits = limits(0.25, 0.2, 0.0);
    let spread = |it: u8| [100 + it, 100, 100];
    // 5 of 255 is just under 0.02, and 11 just over 0.04.
    for (from, to, expected) in [
        (40, 0, Some(Reason::Light)),
        (0, 40, Some(Reason::Light)),
        (11, 5, Some(Reason::Light)),
        (40, 6, None),
        (10, 0, None),
        (60, 20, None),
        (3, 1, None),
    ] {
        assert_eq!(change(limits, [spread(from), spread(to)]).breaks, expected, "{from} {to}");
    }
}

#[test]
fn what_moves_under_the_same_light_is_no_change_of_light() {
    let limits = limits(0.0, 0.05, 0.0);
    let scene = |at: usize| -> Vec<u8> {
        (0..100).flat_map(|it| if it / 20 == at { [250, 20, 20] } else { [90, 110, 130] }).collect()
    };
    let pictures = [scene(0), scene(3)];
    let change = limits.change([0, 1].map(|it| (&pictures[it][..], limits.light(&pictures[it]))));
    assert_eq!(change.breaks, None);
}

#[test]
fn a_cut_comes_before_a_change_of_light() {
    let both = [[20; 3], [220; 3]];
    assert_eq!(change(limits(0.25, 0.2, 0.0), both).breaks, Some(Reason::Cut));
    assert_eq!(change(limits(0.0, 0.2, 0.0), both).breaks, Some(Reason::Light));
    assert_eq!(change(limits(1.0, 1.0, 0.0), both).breaks, None);
}

#[test]
fn differences_are_taken_only_where_they_are_asked_for() {
    let pair = [[100; 3], [151; 3]];
    assert_eq!(change(limits(0.0, 0.5, 0.0), pair).difference, 0.0);
    for limits in [limits(0.5, 0.0, 0.0), limits(0.0, 0.0, 0.5)] {
        assert!((change(limits, pair).difference - 0.2).abs() < 1e-12);
    }
    assert!(!limits(0.5, 0.5, 0.0).is_still(0.0));
    assert!(limits(0.0, 0.0, 0.01).is_still(0.0) && !limits(0.0, 0.0, 0.01).is_still(0.01));
}
