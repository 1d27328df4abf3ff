use super::*;

const GAP: f64 = 0.04;

/// A stream at 25 frames a second in the order of decoding, with the times of its units.
struct Stream {
    groups: Groups,
    dts: bool,
    /// Time stamps of what was fed, in frames.
    fed: Vec<u32>,
    begins: Vec<(u32, Begin)>,
    said: Vec<Why>,
}

impl Stream {
    fn new(span: f64, dts: bool) -> Self {
        let groups = Groups::new(span);
        Self { groups, dts, fed: Vec::new(), begins: Vec::new(), said: Vec::new() }
    }

    /// A group that starts at frame `key`; `order` is of the frames after it.
    fn group(&mut self, key: u32, kind: Key, order: impl IntoIterator<Item = u32>) {
        for (idx, frame) in [0].into_iter().chain(order).enumerate() {
            let pts = f64::from(key + frame) * GAP;
            // Two frames of delay, as with B-frames in a pyramid.
            let dts = (f64::from(key) + idx as f64 - 2.0) * GAP;
            let key_of = (frame == 0).then_some(kind);
            let unit = Unit { key: key_of, pts: Some(pts), dts: self.dts.then_some(dts) };
            let verdict = self.groups.take(&unit);
            if verdict.feed {
                self.fed.push(key + frame);
            }
            self.begins.extend(verdict.begins.map(|it| (key + frame, it)));
            self.said.extend(verdict.said);
        }
    }

    fn fed_after(&self, frame: u32) -> Vec<u32> {
        let mut fed: Vec<_> = self.fed.iter().copied().filter(|&it| it >= frame).collect();
        fed.sort_unstable();
        fed
    }
}

/// P B b b groups of four: 4 2 1 3, 8 6 5 7, ...
fn pyramid(length: u32) -> impl Iterator<Item = u32> {
    (0..length / 4).flat_map(|it| [4, 2, 1, 3].map(|frame| it * 4 + frame))
}

#[test]
fn after_a_whole_group_only_prefixes_are_fed() {
    for dts in [false, true] {
        let mut stream = Stream::new(0.2, dts);
        (0..4).for_each(|it| stream.group(it * 50, Key::Closed, 1..50));
        assert_eq!(stream.begins, [50, 100, 150].map(|it| (it, Begin::Prefix)));
        let delay = if dts { 2 } else { 0 };
        let expected = (0..50).chain([50, 100, 150].into_iter().flat_map(|it| it..=it + 5 + delay));
        assert_eq!(stream.fed, expected.collect::<Vec<_>>(), "{dts}");
        assert!(stream.said.is_empty());
    }
}

#[test]
fn every_picture_up_to_the_last_needed_is_fed_with_its_references() {
    for dts in [false, true] {
        for needed in [1, 2, 3, 5, 6, 7, 8, 9] {
            let mut stream = Stream::new(f64::from(needed) * GAP, dts);
            (0..3).for_each(|it| stream.group(it * 49, Key::Closed, pyramid(48)));
            let fed = stream.fed_after(49);
            let first: Vec<_> = fed.into_iter().filter(|&it| it < 98).collect();
            assert!((49..=49 + needed).all(|it| first.contains(&it)), "{needed}: {first:?}");
            assert!(first.len() as u32 <= needed + 9, "{needed}: {first:?}");
            // What was fed is a beginning of the order of decoding: no reference is missing.
            let order: Vec<_> = [49].into_iter().chain(pyramid(48).map(|it| 49 + it)).collect();
            let start = stream.fed.iter().position(|&it| it == 49).unwrap();
            assert_eq!(stream.fed[start..start + first.len()], order[..first.len()]);
        }
    }
}

#[test]
fn reordering_that_grows_costs_one_group() {
    let mut stream = Stream::new(0.08, false);
    stream.group(0, Key::Closed, 1..=48);
    (1..4).for_each(|it| stream.group(it * 49, Key::Closed, pyramid(48)));
    let has = |frame| stream.fed.contains(&frame);
    assert!(!has(49 + 2) && has(98 + 2) && has(147 + 2), "{:?}", stream.fed);
}

#[test]
fn open_groups_are_fed_whole() {
    let mut stream = Stream::new(0.2, true);
    stream.group(0, Key::Closed, 1..50);
    (1..8).for_each(|it| stream.group(it * 50, Key::Open, 1..50));
    assert_eq!((stream.fed.len(), stream.begins.len()), (400, 0));
    assert_eq!(stream.said, [Why::Open]);
}

#[test]
fn a_key_in_the_middle_of_a_group_is_a_picture_like_others() {
    let mut stream = Stream::new(0.2, true);
    for it in 0..4 {
        stream.group(it * 100, Key::Closed, 1..50);
        stream.group(it * 100 + 50, Key::Open, 1..50);
    }
    assert_eq!(stream.begins, [100, 200, 300].map(|it| (it, Begin::Prefix)));
    assert!(stream.said.is_empty() && stream.fed.len() == 100 + 3 * 8);
}

#[test]
fn an_endless_group_is_fed_whole() {
    let mut stream = Stream::new(0.2, true);
    stream.group(0, Key::Closed, 1..2000);
    assert_eq!((stream.fed.len(), stream.said), (2000, vec![Why::Endless]));
}

#[test]
fn groups_that_become_endless_or_open_are_fed_from_the_next_key_on() {
    for (kind, why) in [(Key::Closed, Why::Endless), (Key::Open, Why::Open)] {
        let mut stream = Stream::new(0.2, true);
        (0..3).for_each(|it| stream.group(it * 50, Key::Closed, 1..50));
        stream.group(150, Key::Closed, 1..100);
        if why == Why::Open {
            stream.group(250, Key::Open, 1..400);
        } else {
            stream.group(250, Key::Closed, []);
            stream.group(250, Key::Closed, 1..400);
        }
        // Two pictures are shown before the key and coded after it.
        let lead = stream.fed.len();
        stream.group(700, kind, 1..20);
        stream.group(720, Key::Closed, 1..50);
        assert_eq!(stream.said, [why]);
        assert_eq!(stream.begins.last(), Some(&(700, Begin::Dense)));
        assert_eq!(stream.fed[lead..], (700..770).collect::<Vec<_>>());
    }
}

#[test]
fn pictures_that_lead_the_key_of_a_new_beginning_are_not_fed() {
    let mut groups = Groups::new(0.2);
    let mut take =
        |key, frame: u32| groups.take(&Unit { key, pts: Some(f64::from(frame) * GAP), dts: None });
    for it in 0..100 {
        take((it % 50 == 0).then_some(Key::Closed), it);
    }
    take(Some(Key::Closed), 100);
    assert!(take(None, 400).said == Some(Why::Endless));
    assert!(!take(None, 401).feed);
    let key = take(Some(Key::Open), 410);
    assert_eq!((key.feed, key.begins), (true, Some(Begin::Dense)));
    let fed = [408, 409, 413, 411, 412, 405].map(|it| take(None, it).feed);
    assert_eq!(fed, [false, false, true, true, true, true]);
}

#[test]
fn groups_shorter_than_a_clip_are_fed_whole() {
    let mut stream = Stream::new(0.4, true);
    (0..10).for_each(|it| stream.group(it * 10, Key::Closed, 1..10));
    assert_eq!((stream.fed.len(), stream.begins.len()), (100, 0));
    assert_eq!(stream.said, [Why::Short]);
    // One frame more, and the last frame of a clip is the last of its group.
    let mut stream = Stream::new(0.4, true);
    (0..10).for_each(|it| stream.group(it * 11, Key::Closed, 1..11));
    assert_eq!(stream.begins.len(), 9);
}

#[test]
fn a_short_group_among_others_changes_nothing() {
    let mut stream = Stream::new(0.4, true);
    for it in 0..4 {
        stream.group(it * 60, Key::Closed, 1..50);
        stream.group(it * 60 + 50, Key::Closed, 1..10);
    }
    assert!(stream.said.is_empty());
    assert_eq!(stream.begins.iter().filter(|it| it.1 == Begin::Prefix).count(), 7);
}

#[test]
fn groups_that_become_short_are_fed_whole_again() {
    let mut stream = Stream::new(0.4, true);
    (0..2).for_each(|it| stream.group(it * 50, Key::Closed, 1..50));
    (0..9).for_each(|it| stream.group(100 + it * 10, Key::Closed, 1..10));
    assert_eq!(stream.said, [Why::Short]);
    let dense: Vec<_> = stream.begins.iter().filter(|it| it.1 == Begin::Dense).collect();
    assert_eq!(dense, [&(140, Begin::Dense)]);
    assert_eq!(stream.fed_after(100), (100..190).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_placed_is_fed_whole() {
    let unit = |key, pts| Unit { key: Some(key), pts, dts: Some(0.0) };
    for (unit, why) in
        [(unit(Key::Closed, None), Why::Untimed), (unit(Key::Unknown, Some(1.0)), Why::Unknown)]
    {
        let mut groups = Groups::new(0.2);
        assert_eq!(groups.take(&unit), Verdict { feed: true, begins: None, said: Some(why) });
        assert_eq!(groups.take(&unit), Verdict { feed: true, begins: None, said: None });
    }
}

#[test]
fn a_clock_that_is_set_back_does_not_spoil_the_limit() {
    let mut stream = Stream::new(0.2, false);
    stream.group(1000, Key::Closed, 1..50);
    stream.group(1050, Key::Closed, 1..25);
    // Its time goes back in the middle of a group.
    stream.groups.take(&Unit { key: None, pts: Some(0.0), dts: None });
    let begins = stream.begins.len();
    (0..3).for_each(|it| stream.group(50 + it * 50, Key::Closed, 1..50));
    assert_eq!(stream.begins.len(), begins + 3);
    let fed: Vec<_> = stream.fed.iter().copied().filter(|&it| (100..150).contains(&it)).collect();
    assert_eq!(fed, (100..=105).collect::<Vec<_>>());
}
