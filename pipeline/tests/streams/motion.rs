//! Camera motion of the clips of a batch.

use pipeline::{BatchConfig, Config, SourceConfig, Synthetic};

use crate::media::{config, files, real, stream, train};

fn with_motion(mut config: Config) -> Config {
    config.size = [64, 64];
    config.clip.frames = 3;
    config.clip.camera_motion = true;
    config.batch = BatchConfig::new(2, 4);
    config
}

#[test]
fn every_clip_has_its_motion_which_depends_on_the_seed_alone() {
    let config = with_motion(config(vec![
        files("street", real("street.mp4")),
        stream("discs", SourceConfig::Synthetic(Synthetic::default())),
    ]));
    let [(one, _), (other, _)] = [(); 2].map(|()| train(&config, 3, 20));
    for (a, b) in one.iter().zip(&other) {
        assert_eq!(a.motion, b.motion);
        let motion = a.motion.as_ref().unwrap();
        assert_eq!(motion.len(), 2 * 2 * 5);
        // Both cameras stand still.
        for pair in motion.chunks(5) {
            assert_eq!(pair[4], 1.0, "{pair:?} in {:?}", a.clips);
            assert!(pair[..4].iter().all(|it| it.abs() < 0.004), "{pair:?} in {:?}", a.clips);
        }
    }
}

#[test]
fn without_camera_motion_there_is_none() {
    let mut config = with_motion(config(vec![files("cup", real("cup.mp4"))]));
    config.clip.camera_motion = false;
    let (batches, _) = train(&config, 0, 5);
    assert!(batches.iter().all(|it| it.motion.is_none()));
}
