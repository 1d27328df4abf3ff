//! The order of clips depends on the seed alone, and every frame has an outcome.

use std::collections::HashSet;

use pipeline::{Batch, BatchConfig, ClipConfig, Config, SourceConfig, StreamEnd, Synthetic, start};

use crate::media::{config, stream, train};

fn synthetic(seed: u64, delay: &[f64]) -> SourceConfig {
    SourceConfig::Synthetic(Synthetic {
        frames: 120,
        shapes: 1,
        seed,
        delay: delay.to_vec(),
        ..Synthetic::default()
    })
}

/// Three looped or finite streams, slowed down by these delays.
fn three(delays: [&[f64]; 3], repeat: bool) -> Config {
    let streams = (0..3).map(|it| {
        let mut stream = stream(&format!("s{it}"), synthetic(it as u64, delays[it]));
        stream.weight = 1.0 + it as f64;
        stream.repeat = repeat;
        stream
    });
    Config {
        size: [16, 16],
        clip: ClipConfig { hop: 0.12, cut_threshold: 0.25, ..ClipConfig::new(3, 0.08) },
        batch: BatchConfig::new(4, 12),
        ..config(streams.collect())
    }
}

fn order(batches: &[Batch]) -> Vec<(usize, u64, u64, Vec<u64>)> {
    let clips = batches.iter().flat_map(|it| it.clips.iter().zip(it.times.chunks(it.shape[1])));
    clips
        .map(|(it, times)| {
            (it.stream, it.number, it.epoch, times.iter().map(|it| it.to_bits()).collect())
        })
        .collect()
}

#[test]
fn the_seed_alone_decides_the_order() {
    let none: &[f64] = &[];
    let (plain, _) = train(&three([none; 3], true), 7, 60);
    let slow: [&[f64]; 3] = [&[0.003, 0.0, 0.0], none, &[0.0, 0.0, 0.0, 0.0, 0.01]];
    let (delayed, _) = train(&three(slow, true), 7, 60);
    assert_eq!(order(&plain), order(&delayed));
    assert!(plain.iter().zip(&delayed).all(|(a, b)| a.pixels == b.pixels));
    assert!(plain.iter().flat_map(|it| &it.clips).any(|it| it.epoch > 1), "more than one epoch");
    let (other, _) = train(&three([none; 3], true), 8, 60);
    assert_ne!(order(&plain), order(&other));
}

#[test]
fn later_epochs_give_other_frames() {
    let (batches, _) = train(&three([&[]; 3], true), 1, 150);
    let clips = || batches.iter().flat_map(|it| it.clips.iter().zip(it.times.chunks(3)));
    let starts = |epoch| -> HashSet<u64> {
        let of_epoch = clips().filter(|it| it.0.stream == 2 && it.0.epoch == epoch);
        of_epoch.map(|it| (it.1[0] * 1000.0).round() as u64).collect()
    };
    assert!(starts(0).contains(&0), "the first epoch starts with the first frame");
    let epochs: Vec<_> = (0..4).map(starts).collect();
    assert!(epochs.iter().all(|it| !it.is_empty()));
    assert!(epochs[1..].iter().any(|it| it.is_disjoint(&epochs[0])), "{epochs:?}");
}

#[test]
fn weights_decide_how_often_a_stream_is_drawn() {
    let (batches, _) = train(&three([&[]; 3], true), 3, 300);
    let mut drawn = [0.0_f64; 3];
    batches.iter().flat_map(|it| &it.clips).for_each(|it| drawn[it.stream] += 1.0 / 1200.0);
    for (share, expected) in drawn.iter().zip([1.0 / 6.0, 2.0 / 6.0, 3.0 / 6.0]) {
        // Three standard deviations of 1200 draws.
        assert!((share - expected).abs() < 0.044, "{drawn:?}");
    }
}

#[test]
fn a_batch_mixes_streams_and_moments() {
    let (batches, _) = train(&three([&[]; 3], false), 3, usize::MAX);
    let mixed = batches
        .iter()
        .filter(|it| it.clips.iter().map(|it| it.stream).collect::<HashSet<_>>().len() > 1);
    assert!(mixed.count() * 2 > batches.len());
}

#[test]
fn finite_streams_give_every_clip_once() {
    let (batches, reports) = train(&three([&[]; 3], false), 5, usize::MAX);
    let clips: Vec<_> = batches.iter().flat_map(|it| &it.clips).collect();
    let cut: u64 = reports.iter().map(|it| it.counts.clips).sum();
    // 3 streams of 39 clips: 117 clips make 29 batches of 4, and one clip is left over.
    assert_eq!((clips.len(), cut), (116, 117));
    let unique: HashSet<_> = clips.iter().map(|it| (it.stream, it.number)).collect();
    assert_eq!(unique.len(), clips.len());
    assert!(reports.iter().all(|it| it.end == StreamEnd::Ended && it.counts.epochs == 1));
    assert!(reports.iter().map(|it| it.counts.untrained).sum::<u64>() > 0);
}

#[test]
fn batches_have_their_stated_shape() {
    let (batches, _) = train(&three([&[]; 3], false), 5, 2);
    for batch in batches {
        assert_eq!(batch.shape, [4, 3, 16, 16, 3]);
        assert_eq!(batch.pixels.len(), batch.shape.iter().product::<usize>());
        assert_eq!((batch.times.len(), batch.clips.len()), (12, 4));
        for times in batch.times.chunks(3) {
            assert!(times.windows(2).all(|it| (it[1] - it[0] - 0.08).abs() < 1e-9), "{times:?}");
        }
    }
}

#[test]
fn stopping_early_balances_with_overlapping_clips() {
    for taken in [0, 1, 5, 20] {
        let mut config = three([&[0.001], &[], &[]], true);
        config.clip.hop = 0.04;
        let mut ingest = start(&config, taken).unwrap();
        let mut trained = 0;
        for idx in 0..taken {
            let batch = ingest.batches().recv().unwrap();
            // Every other batch is taken and not reported.
            if idx % 2 == 0 {
                ingest.trained(&batch);
                trained += batch.clips.iter().map(|it| it.new_frames).sum::<u64>();
            }
        }
        assert_eq!(ingest.snapshot().iter().map(|it| it.trained).sum::<u64>(), trained);
        let reports = ingest.finish();
        assert_eq!(reports.iter().map(|it| it.counts.trained).sum::<u64>(), trained);
        for report in reports {
            assert!(report.is_balanced(), "{report:?}");
            assert_eq!(report.end, StreamEnd::Stopped);
        }
    }
}

#[test]
fn reporting_a_batch_twice_unbalances_the_counts() {
    let mut ingest = start(&three([&[]; 3], false), 1).unwrap();
    while let Ok(batch) = ingest.batches().recv() {
        ingest.trained(&batch);
        ingest.trained(&batch);
    }
    assert!(ingest.finish().iter().all(|it| !it.is_balanced()));
}

#[test]
fn dropping_without_finishing_stops_every_thread() {
    let slow: &[f64] = &[30.0];
    let ingest = start(&three([slow; 3], true), 1).unwrap();
    drop(ingest);
}

#[test]
fn no_clip_spans_a_scene_cut() {
    let source = Synthetic { frames: 100, cuts: vec![33, 71], ..Synthetic::default() };
    let mut config = config(vec![stream("cuts", SourceConfig::Synthetic(source))]);
    config.clip = ClipConfig { hop: 0.04, cut_threshold: 0.25, ..ClipConfig::new(4, 0.08) };
    let (batches, reports) = train(&config, 0, usize::MAX);
    assert!(batches.len() > 50);
    for batch in batches {
        let scenes: HashSet<_> = (batch.times.iter())
            .map(|it| [33, 71].iter().filter(|&&cut| it * 25.0 > f64::from(cut) - 0.5).count())
            .collect();
        assert_eq!(scenes.len(), 1, "{:?}", batch.times);
    }
    assert_eq!(reports[0].counts.clips, 100 - 6 - 12, "each cut costs the six clips across it");
}
