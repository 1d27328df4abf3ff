use super::*;

const TEXT: &str = include_str!("../../../configs/quickstart.toml");

fn load(text: &str, sets: &[&str]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.toml");
    std::fs::write(&path, text).unwrap();
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    Config::load(&path, &sets).map_err(|err| {
        assert!(err.downcast_ref::<ConfigError>().is_some(), "{err} is not about the config");
        let shown = err.to_string();
        shown.replace(&path.display().to_string(), "run.toml")
    })
}

fn line_with(text: &str, part: &str) -> usize {
    1 + text.lines().position(|it| it.contains(part)).unwrap()
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    for (place, with_key, key) in [
        ("[model.train]", "[model.train]\nstepz = 3", "model.train.stepz"),
        ("[model.method]", "[model.method]\nstepz = 3", "model.method.stepz"),
        ("[model.method.head]", "[model.method.head]\nstepz = 3", "model.method.head.stepz"),
        ("clip = {", "clip = { stepz = 3,", "pipeline.clip.stepz"),
    ] {
        let text = TEXT.replace(place, with_key);
        let shown = load(&text, &[]).unwrap_err();
        let wanted = format!("run.toml:{}: {key}: unknown field", line_with(&text, "stepz"));
        assert!(shown.starts_with(&wanted), "{shown}\ndoes not start with\n{wanted}");
    }
}

#[test]
fn a_value_out_of_range_is_named_with_its_line() {
    let text = TEXT.replace("steps = ", "steps = 0 # ");
    let shown = load(&text, &[]).unwrap_err();
    let line = line_with(&text, "steps = 0");
    assert_eq!(
        shown,
        format!("run.toml:{line}: model.train.steps: must be given, and be at least 1")
    );
}

#[test]
fn a_set_replaces_one_value_and_is_blamed_for_its_own() {
    let config = load(TEXT, &["model.train.steps=7", "pipeline.stream.0.name=door"]).unwrap();
    assert_eq!(config.model.train.steps, 7);
    assert_eq!(config.pipeline.stream[0].name, "door");
    let config = load(TEXT, &["model.train.weight_decay=0.5"]).unwrap();
    assert_eq!(config.model.train.weight_decay, 0.5, "a default was not replaced");
    for (set, part) in [
        ("model.train.stepz=7", "stepz"),
        ("model.train.steps=many", "steps"),
        ("nonsense", "key=value"),
        ("pipeline.stream.9.name=x", "index"),
    ] {
        let shown = load(TEXT, &[set]).unwrap_err();
        assert!(shown.contains("--set") && shown.contains(part), "{shown}");
    }
}

#[test]
fn no_complaint_quotes_an_address() {
    let source = "source = { files = \"tests/media/street.mp4\" }";
    assert!(TEXT.contains(source), "the example has changed");
    for wrong in [
        "source = \"rtsp://me:hush@host/\"",
        "source = \"me:hu`sh\\\" hush@host/\"",
        "source = { uri = \"rtsp://me:hush@host/\", url = 1 }",
        "source = { url = \"rtsp://me:hush@host/\" }",
        "source = { uri = [\"rtsp://me:hush@host/\"] }",
        "source = { uri = rtsp://me:hush@host/ }",
        "source = { uri = \"rtsp://me:hush@host/ }",
        "source = { uri = \"rtsp://me:hush@host/${NO_SUCH_NAME}\" }",
        "source = { uri = \"rtsp:/me:hush@host/\" }",
        "source = { uri = \"rtsp://me:hu/sh:hush@host/\" }",
        "source = { files = \"rtsp://me:hush@host/\" }",
        "source = { synthetic = {} }\nweight = \"rtsp://me:hush@host/\"",
        "source = { synthetic = {} }\nloop = \"rtsp://host/?token=hush\"",
        "source = { synthetic = {} }\n\"rtsp://me:hush@host/\" = 1",
        "source = { uri = \"rtsp://me:hush@host/\" }\nsource = 1",
        "source = { uri = \"rtsp://me:hush@host/\" }\nurl = 1",
    ] {
        let text = TEXT.replacen(source, wrong, 1).replace("loop = true\n", "");
        let shown = load(&text, &[]).unwrap_err();
        assert!(shown.starts_with("run.toml:"), "{shown}");
        assert!(!shown.contains("hush"), "{wrong}: {shown}");
    }
    for set in [
        "pipeline.stream.0.source=rtsp://me:hush@host/",
        "pipeline.stream.0.source=me hush",
        "pipeline.stream.0.source={ uri = \"me:hush@host/\" }",
        "pipeline.stream.0.source.uri=rtsp://me:hush@host/",
        "pipeline.stream.9.source.uri=rtsp://me:hush@host/",
        "pipeline.stream.0.weight=rtsp://me:hush@host/",
        "pipeline.stream.0.rtsp://me:hush@host/=1",
        "rtsp://me:hush@host/?a=1",
        "rtsp://me:hush@host/",
    ] {
        let shown = load(TEXT, &[set]).unwrap_err();
        assert!(shown.starts_with("run.toml") && !shown.contains("hush"), "{set}: {shown}");
    }
}

#[test]
fn text_that_is_not_toml_is_shown_with_its_line() {
    let shown = load("seed = 1\nlog_every = = 3\n", &[]).unwrap_err();
    assert!(shown.starts_with("run.toml:2"), "{shown}");
}

#[test]
fn a_wrong_key_inside_a_table_that_is_picked_by_its_name_is_found() {
    let method = |old: &str, new: &str| {
        let text = TEXT.replacen(old, new, 1);
        assert_ne!(text, TEXT, "{old:?} is not in the example");
        (load(&text, &[]).unwrap_err(), text)
    };
    for (old, new, key, reason) in [
        ("hidden = 512", "hidden = \"512\"", "model.method.head.hidden", "invalid type"),
        (
            "motion_learning_rate = 1.0",
            "motion_learning_rate = []",
            "model.method.motion_learning_rate",
            "invalid type",
        ),
        ("[model.method.head]", "[model.method.heads]", "model.method.heads", "unknown field"),
        ("name = \"tdv\"", "name = \"tvd\"", "model.method.name", "unknown variant"),
    ] {
        let (shown, text) = method(old, new);
        let wanted = format!("run.toml:{}: {key}: {reason}", line_with(&text, new));
        assert!(shown.starts_with(&wanted), "{shown}\ndoes not start with\n{wanted}");
    }
    // Two keys are wrong: the error is about one of them.
    let (shown, _) = method("hidden = 512\nbottleneck = 64", "hidden = \"512\"\nbottleneck = true");
    assert!(shown.contains("head.hidden") || shown.contains("head.bottleneck"), "{shown}");
    // Nothing is there to be named but the table.
    let (shown, text) = method("name = \"tdv\"\n", "");
    let wanted = format!(
        "run.toml:{}: model.method: missing field `name`",
        line_with(&text, "[model.method]")
    );
    assert_eq!(shown, wanted);
}

#[test]
fn a_missing_key_is_said_of_its_table() {
    let text = TEXT.replace("size = [64, 64]\n", "");
    let shown = load(&text, &[]).unwrap_err();
    let line = line_with(&text, "[pipeline]");
    assert_eq!(shown, format!("run.toml:{line}: pipeline: missing field `size`"));
    assert_eq!(load("", &[]).unwrap_err(), "run.toml:1: missing field `pipeline`");
}

#[test]
fn an_old_name_is_refused_with_the_new_one() {
    let stream = "loop = true";
    let old_key = TEXT.replacen(stream, "retry = { longest = 3.0 }", 1);
    let shown = load(&old_key, &[]).unwrap_err();
    let line = line_with(&old_key, "longest");
    let key = "pipeline.stream[0].retry.longest";
    assert_eq!(shown, format!("run.toml:{line}: {key}: was renamed to max_delay"));

    let old_value = TEXT.replacen(stream, "sample = \"keyframe-pairs\"", 1);
    let shown = load(&old_value, &[]).unwrap_err();
    let line = line_with(&old_value, "keyframe-pairs");
    let message = "pipeline.stream[0].sample: \"keyframe-pairs\" was renamed to \"gop-start\"";
    assert_eq!(shown, format!("run.toml:{line}: {message}"));

    let shown = load(TEXT, &["pipeline.stream.1.retry.attempts=3"]).unwrap_err();
    let message = "pipeline.stream[1].retry.attempts: was renamed to max_attempts";
    assert_eq!(
        shown,
        format!("run.toml: with --set pipeline.stream.1.retry.attempts=3: {message}")
    );
}
