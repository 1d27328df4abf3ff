//! Tables refuse unknown keys, and name a wrong value by its dotted key.

use burn::tensor::Device;
use serde_json::{Value, json};

use super::cases::{CASES, Case, case};
use crate::{Config, EncoderChoice, Error, Input};

/// All tables in `value`, by where they are.
fn tables(value: &Value, at: String, all: &mut Vec<String>) {
    for (key, it) in value.as_object().into_iter().flatten() {
        tables(it, format!("{at}/{key}"), all);
    }
    if value.is_object() {
        all.push(at);
    }
}

/// A table that was read and written again has all of its keys, nested ones too.
#[test]
fn every_table_refuses_a_key_that_it_does_not_know() {
    for case in CASES {
        let whole = serde_json::to_value(case.config()).unwrap();
        let read = serde_json::from_value::<Config>;
        let again = read(whole.clone()).unwrap_or_else(|err| panic!("{}: {err}", case.name));
        assert_eq!(serde_json::to_value(again).unwrap(), whole, "{}", case.name);
        let mut all = Vec::new();
        tables(&whole, String::new(), &mut all);
        assert!(all.len() >= 5, "{}: {all:?}", case.name);
        for table in all {
            let mut wrong = whole.clone();
            wrong.pointer_mut(&table).unwrap()["learning_rat"] = json!(1);
            let Err(err) = read(wrong) else { panic!("{}: {table} accepts it", case.name) };
            assert!(err.to_string().contains("learning_rat"), "{}{table}: {err}", case.name);
        }
    }
}

/// A case, values for its method's table, and the key that the error names.
#[rustfmt::skip]
const WRONG: &[(&str, &str, &str)] = &[
    ("simclr", r#"{"loss": {"temperature": 0.0}}"#, "loss.temperature"),
    ("simclr, augmented", r#"{"augment": {"hue": 0.6}}"#, "augment.hue"),
    ("simclr, both", r#"{"augment": {"crop_scale": [0.5, 0.2]}}"#, "augment.crop_scale"),
    ("simclr-sq", r#"{"loss": {"temperature": -1.0}}"#, "loss.temperature"),
    ("simclr-abs", r#"{"loss": {"temperature": 0.0}}"#, "loss.temperature"),
    ("dcl", r#"{"loss": {"temperature": 0.0}}"#, "loss.temperature"),
    ("dclw", r#"{"loss": {"sigma": 0.0}}"#, "loss.sigma"),
    ("spectral", r#"{"loss": {"mu": 0.0}}"#, "loss.mu"),
    ("vicreg", r#"{"loss": {"cov_coeff": -1.0}}"#, "loss.cov_coeff"),
    ("vicreg-exp", r#"{"loss": {"temperature": 0.0}}"#, "loss.temperature"),
    ("vicreg-ctr", r#"{"loss": {"std_coeff": -0.5}}"#, "loss.std_coeff"),
    ("barlow-twins", r#"{"loss": {"lambda": -1.0}}"#, "loss.lambda"),
    ("lejepa", r#"{"loss": {"directions": 0}}"#, "loss.directions"),
    ("lejepa", r#"{"loss": {"lambda": 1.5}}"#, "loss.lambda"),
    ("tico", r#"{"momentum": 1.5}"#, "momentum"),
    ("tico", r#"{"loss": {"beta": 2.0}}"#, "loss.beta"),
    ("byol", r#"{"momentum": -0.1}"#, "momentum"),
    ("byol", r#"{"predictor": "16-7"}"#, "predictor"),
    ("simsiam", r#"{"predictor": "4-9"}"#, "predictor"),
    ("tdv", r#"{"motion_depth": 0}"#, "motion_depth"),
    ("tdv", r#"{"motion_learning_rate": -1.0}"#, "motion_learning_rate"),
    ("tdv", r#"{"mse_coeff": -1.0}"#, "mse_coeff"),
    ("tdv", r#"{"momentum": 1.01}"#, "momentum"),
    ("tdv", r#"{"centre_momentum": -1.0}"#, "centre_momentum"),
    ("tdv", r#"{"student_temperature": 0.0}"#, "student_temperature"),
    ("tdv", r#"{"teacher_temperature": 0.0}"#, "teacher_temperature"),
    ("tdv", r#"{"head": {"prototypes": 0}}"#, "head"),
    ("adassl, gaussian", r#"{"editor": "16-7"}"#, "editor"),
    ("adassl, gaussian", r#"{"editor": "wide"}"#, "editor"),
    ("adassl, gaussian", r#"{"editor": "additive"}"#, "dim"),
    ("adassl, gaussian", r#"{"dim": 0}"#, "dim"),
    ("adassl, gaussian", r#"{"predictor": "16-9"}"#, "predictor"),
    ("adassl, gaussian", r#"{"beta": -1.0}"#, "beta"),
    ("adassl, gaussian", r#"{"beta_warmup": 1.5}"#, "beta_warmup"),
    ("adassl, gaussian", r#"{"momentum": 1.5}"#, "momentum"),
    ("adassl, gaussian", r#"{"directions": "both"}"#, "third_view"),
    ("adassl, gaussian", r#"{"third_view": "augmented"}"#, "third_view"),
    ("adassl, gaussian, contrastive", r#"{"temperature": 0.0}"#, "temperature"),
    ("adassl, third view = augmented", r#"{"augment": {"flip": 2.0}}"#, "augment.flip"),
    ("adassl, dense", r#"{"dense": {"depth": 0}}"#, "dense.depth"),
    ("adassl, dense", r#"{"dense": {"coeff": -1.0}}"#, "dense.coeff"),
    ("seq-jepa, fixation", r#"{"heads": 5}"#, "heads"),
    ("seq-jepa, fixation", r#"{"observed": 0}"#, "observed"),
    ("seq-jepa, fixation", r#"{"view": [0, 8]}"#, "view"),
    ("seq-jepa, fixation", r#"{"side": [0.5, 0.25]}"#, "side"),
    ("seq-jepa, fixation", r#"{"radius": 1.0}"#, "radius"),
    ("seq-jepa, fixation", r#"{"dropout": 1.0}"#, "dropout"),
    ("seq-jepa, fixation", r#"{"momentum": 2.0}"#, "momentum"),
    ("seq-jepa, camera", r#"{"observed": 5}"#, "actions"),
    ("seq-jepa, telemetry", r#"{"observed": 5}"#, "actions"),
];

/// The key of the wrong value in `config`.
fn wrong_key(config: &Config, input: Input, what: &str) -> String {
    match config.validate(input, &Device::flex()) {
        Err(Error::Config { key, .. }) => key,
        Err(other) => panic!("{what}: {other}"),
        Ok(()) => panic!("{what} was accepted"),
    }
}

#[test]
fn a_wrong_value_is_named_by_its_dotted_key() {
    for (name, wrong, key) in WRONG {
        let case = case(name);
        let config = case.config_with(&serde_json::from_str(wrong).unwrap());
        let what = format!("{name} with {wrong}");
        assert_eq!(
            wrong_key(&config, case.input(), &what),
            format!("model.method.{key}"),
            "{what}"
        );
    }
}

fn with_encoder(case: &Case, encoder: &Value) -> Config {
    let mut table = case.table(&json!({}));
    table["encoder"] = encoder.clone();
    serde_json::from_value(table).unwrap()
}

#[test]
fn an_encoder_that_a_method_cannot_use_is_wrong_key() {
    let resnet = json!({"arch": "resnet18"});
    let conv3d = json!({"arch": "conv3d", "frames": 2});
    for (name, encoder, key) in [
        ("tdv", &resnet, "model.encoder.arch"),
        ("tdv", &conv3d, "model.encoder.arch"),
        ("adassl, dense", &resnet, "model.encoder.arch"),
        ("seq-jepa, fixation", &conv3d, "model.method.name"),
        ("simclr", &conv3d, "model.method.views"),
        ("byol", &conv3d, "model.method.views"),
        ("adassl, gaussian", &conv3d, "model.method.third_view"),
    ] {
        let case = case(name);
        let what = format!("{name} on {encoder}");
        assert_eq!(wrong_key(&with_encoder(&case, encoder), case.input(), &what), key, "{what}");
    }
}

#[test]
fn clips_that_lack_what_a_method_needs_are_refused() {
    let whole = case("tdv").input();
    let frames = |frames| Input { frames, ..whole };
    for (name, input, key) in [
        ("simclr", frames(1), "views"),
        ("simsiam", frames(1), "views"),
        ("tico", frames(1), "views"),
        ("byol", frames(1), "views"),
        ("tdv", frames(1), "name"),
        ("adassl, gaussian", frames(2), "third_view"),
        ("adassl, third view = none", frames(1), "third_view"),
        ("simclr", Input { clips: 1, ..frames(3) }, "name"),
        ("seq-jepa, camera", Input { motion: false, ..frames(5) }, "actions"),
        ("seq-jepa, telemetry", Input { telemetry: 0, ..frames(5) }, "actions"),
    ] {
        let what = format!("{name} of {input:?}");
        let key = format!("model.method.{key}");
        assert_eq!(wrong_key(&case(name).config(), input, &what), key, "{what}");
    }
}

/// A method needs exactly the fewest frames that it names.
#[test]
fn a_clip_of_the_fewest_frames_makes_a_step() {
    for case in CASES {
        let least = case.trainer(0).least_frames();
        let case = Case { frames: least, ..*case };
        assert!(case.trainer(0).step(&case.clips(4, 0), true).is_ok(), "{}", case.name);
        if least > 1 {
            let input = Input { frames: least - 1, ..case.input() };
            let result = case.config().validate(input, &Device::flex());
            assert!(result.is_err(), "{} accepts {} frames", case.name, least - 1);
        }
    }
}

/// Embeddings are the teacher's by default, where there is a teacher.
#[test]
fn embeddings_are_of_the_teacher_only_where_there_is_one() {
    for case in CASES {
        let clips = case.clips(2, 0);
        let encoder = case.trainer(0).embed(&clips).encoder;
        let mut config = case.config();
        config.embed.encoder = Some(EncoderChoice::Student);
        assert_eq!(case.trainer_of(&config, 0).embed(&clips).encoder, "student", "{}", case.name);
        config.embed.encoder = Some(EncoderChoice::Teacher);
        if encoder == "teacher" {
            assert_eq!(case.trainer_of(&config, 0).embed(&clips).encoder, encoder, "{}", case.name);
        } else {
            assert_eq!(wrong_key(&config, case.input(), case.name), "model.embed.encoder");
        }
    }
}
