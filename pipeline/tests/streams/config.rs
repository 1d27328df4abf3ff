//! What a user writes.

use pipeline::{Config, Error, Fit, SourceConfig};

const WHOLE: &str = r#"
    size = [112, 96]
    fit = "squash"
    clip = { frames = 4, interval = 0.2, hop = 0.4, cut_threshold = 0.3, camera_motion = true }
    batch = { clips = 8, pool = 32 }
    [[stream]]
    name = "archive"
    source = { files = "clips/*.mp4" }
    loop = true
    weight = 2.0
    telemetry = "measured"
    [[stream]]
    name = "camera"
    source = { uri = "rtsp://host/cam" }
    [[stream]]
    name = "shapes"
    source = { synthetic = { frames = 100, velocity = [0.1, 0.0] } }
    [[stream]]
    name = "digits"
    source = { moving-digits = { sequences = 9, digits = "digits.csv" } }
"#;

#[test]
fn every_field_is_read_and_written_again() {
    let config: Config = toml::from_str(WHOLE).unwrap();
    config.validate().unwrap();
    assert_eq!((config.size, config.fit), ([112, 96], Fit::Squash));
    let [archive, camera, shapes, digits] = &config.stream[..] else { panic!("four streams") };
    assert!(archive.repeat && archive.weight == 2.0 && !camera.repeat && camera.weight == 1.0);
    assert_eq!((archive.telemetry.as_deref(), &camera.telemetry), (Some("measured"), &None));
    assert!(matches!(&archive.source, SourceConfig::Files(it) if it == "clips/*.mp4"));
    assert!(matches!(&camera.source, SourceConfig::Uri(it) if it.to_string() == "rtsp://host/cam"));
    let SourceConfig::Synthetic(shapes) = &shapes.source else { panic!("synthetic") };
    assert_eq!((shapes.frames, shapes.fps, shapes.shapes), (100, 25.0, 3));
    let SourceConfig::MovingDigits(digits) = &digits.source else { panic!("moving-digits") };
    assert_eq!((digits.sequences, digits.fps), (9, 10.0));
    assert_eq!(digits.digits.as_deref(), Some("digits.csv".as_ref()));
    let again: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
    assert_eq!(format!("{again:?}"), format!("{config:?}"));
}

#[test]
fn what_is_left_out_has_a_default() {
    let config: Config = toml::from_str(
        "size = [8, 8]\nclip = { frames = 2, interval = 0.5 }\nbatch = { clips = 1 }\n\
         stream = [{ name = 'a', source = { synthetic = {} } }]",
    )
    .unwrap();
    config.validate().unwrap();
    assert_eq!((config.fit, config.batch.pool), (Fit::Crop, 64));
    assert_eq!((config.clip.hop_seconds(), config.clip.cut_threshold), (1.0, 0.25));
    assert!(!config.clip.camera_motion && config.stream[0].telemetry.is_none());
}

#[test]
fn unknown_keys_are_refused() {
    for (known, unknown) in [
        ("size =", "sise = 1\nsize ="),
        ("hop =", "hopp = 1, hop ="),
        ("pool =", "pol = 1, pool ="),
        ("loop =", "looop = true\nloop ="),
        ("velocity =", "speed = 1, velocity ="),
        ("sequences =", "sequence = 1, sequences ="),
        ("uri =", "url ="),
    ] {
        assert!(WHOLE.contains(known));
        let result = toml::from_str::<Config>(&WHOLE.replacen(known, unknown, 1));
        assert!(result.unwrap_err().message().contains("unknown"), "{unknown}");
    }
}

#[test]
fn a_wrong_value_is_named_by_its_key() {
    for (right, wrong, key) in [
        ("[112, 96]", "[0, 96]", "pipeline.size"),
        ("[112, 96]", "[112, 99999]", "pipeline.size"),
        ("frames = 4", "frames = 1", "pipeline.clip.frames"),
        ("interval = 0.2", "interval = 0.0", "pipeline.clip.interval"),
        ("interval = 0.2", "interval = nan", "pipeline.clip.interval"),
        ("hop = 0.4", "hop = -0.4", "pipeline.clip.hop"),
        ("cut_threshold = 0.3", "cut_threshold = -1.0", "pipeline.clip.cut_threshold"),
        ("[112, 96]", "[112, 31]", "pipeline.clip.camera_motion"),
        ("clips = 8", "clips = 0", "pipeline.batch.clips"),
        ("pool = 32", "pool = 0", "pipeline.batch.pool"),
        ("\"archive\"", "\"  \"", "pipeline.stream[0].name"),
        ("\"camera\"", "\"archive\"", "pipeline.stream[1].name"),
        ("weight = 2.0", "weight = 0.0", "pipeline.stream[0].weight"),
        ("\"measured\"", "\"\"", "pipeline.stream[0].telemetry"),
        ("clips/*.mp4", "", "pipeline.stream[0].source.files"),
        ("rtsp://host/cam", "host/cam", "pipeline.stream[1].source.uri"),
        ("frames = 100", "frames = 0", "pipeline.stream[2].source.synthetic.frames"),
        ("frames = 100", "fps = 0.0", "pipeline.stream[2].source.synthetic.fps"),
        ("sequences = 9", "sequences = 0", "pipeline.stream[3].source.moving-digits.sequences"),
        ("sequences = 9", "fps = -1.0", "pipeline.stream[3].source.moving-digits.fps"),
        ("digits.csv", "", "pipeline.stream[3].source.moving-digits.digits"),
    ] {
        assert!(WHOLE.contains(right), "{right}");
        let config: Config = toml::from_str(&WHOLE.replacen(right, wrong, 1)).unwrap();
        let Err(Error::Config { key: found, .. }) = config.validate() else {
            panic!("{wrong} passed")
        };
        assert_eq!(found, key);
    }
    let mut config: Config = toml::from_str(WHOLE).unwrap();
    config.stream[2].crop = Some([0.0, 0.0, 0.5, 0.5].into());
    let refused = config.validate().unwrap_err().to_string();
    assert!(refused.starts_with("pipeline.stream[2].crop: drawn frames"), "{refused}");
    config.stream.clear();
    assert!(config.validate().unwrap_err().to_string().starts_with("pipeline.stream: "));
}

#[test]
fn the_memory_bound_follows_its_formula() {
    let config: Config = toml::from_str(WHOLE).unwrap();
    let clip = 4 * 112 * 96 * 3;
    // A clip spans 0.6 s and starts every 0.4 s: three are incomplete at once.
    let motion = 4 * 20 * 112 * 96;
    let clips = 4 * (4 + 1 + 3) + (32 + 8) + 2 * 4 * 8;
    assert_eq!(config.host_memory_bound(), clips * clip + motion + 2 * (64 << 20));
}
