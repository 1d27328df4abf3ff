//! `onward export` and `model.encoder.weights` against timm and DINOv2's own code, which must give
//! the same tokens for the same real frames.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use model::{Clips, DeviceChoice, EncoderShape, Init, NormMode};
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde::Deserialize as _;
use support::{Done, Setup, finish, looped, media, onward, scope};
use toml::Table;

/// A Python with torch, timm and DINOv2, which checks what is exported.
struct Checker(String);

impl Checker {
    /// Without such a Python the calling test is skipped.
    #[track_caller]
    fn find() -> Option<Self> {
        scope::python("ONWARD_TIMM_PYTHON", "torch, timm and DINOv2").map(Self)
    }

    /// Runs `export.py`.
    fn run(&self, arguments: &[&Path]) -> Done {
        let mut command = Command::new(&self.0);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/export.py"));
        command.args(arguments);
        finish(command)
    }
}

fn export(from: &Path, out: &Path, options: &[&str]) -> Done {
    let mut command = onward(&["export"]);
    command.arg(from).arg("--out").arg(out).args(options);
    finish(command)
}

/// The `config.toml` of a run.
fn config(setup: &Setup) -> Table {
    toml::from_str(&fs::read_to_string(setup.run().join("config.toml")).unwrap()).unwrap()
}

/// Writes frames of the run's streams, and the tokens that the encoder in `weights` gives for them,
/// to a file for `export.py`.
fn frames_and_tokens(setup: &Setup, weights: &Path) -> PathBuf {
    let config = config(setup);
    let streams = pipeline::Config::deserialize(config["pipeline"].clone()).unwrap();
    let model = model::Config::deserialize(config["model"].clone()).unwrap();
    let ingest = pipeline::start(&streams, 5).unwrap();
    let batch = ingest.batches().recv().unwrap();
    ingest.finish();

    let device = DeviceChoice::Cpu.open().unwrap();
    let shape: EncoderShape = model.encoder.shape(streams.size, model.precision).unwrap();
    let encoder = model::load(shape.init(&mut Init::new(0, &device)), weights).unwrap();
    let clips = Clips::upload(batch.pixels.clone(), batch.shape, &device);
    let tokens = encoder.forward(clips.frames(0, batch.shape[1]), NormMode::Evaluate);

    let [n, t, h, w, c] = batch.shape;
    let shape = tokens.dims().to_vec();
    let tokens: Vec<f32> = tokens.into_data().try_to_vec().unwrap();
    let tokens: Vec<u8> = tokens.iter().flat_map(|it| it.to_le_bytes()).collect();
    let tensors = [
        ("frames", TensorView::new(Dtype::U8, vec![n * t, h, w, c], &batch.pixels).unwrap()),
        ("tokens", TensorView::new(Dtype::F32, shape, &tokens).unwrap()),
    ];
    let path = setup.path("frames.safetensors");
    serialize_to_file(tensors, None, &path).unwrap();
    path
}

/// A finished run over two real clips.
fn trained(sets: &[&str]) -> Setup {
    let streams = [looped("street", media("street.mp4")), looped("tree", media("tree.mp4"))];
    let setup = Setup::new(&streams);
    setup.train(sets).ended_with(0);
    setup
}

fn checkpoint(setup: &Setup, steps: u64) -> PathBuf {
    setup.run().join(format!("checkpoints/step-{steps:08}"))
}

#[test]
fn timm_gives_the_tokens_of_an_exported_vit() {
    let Some(checker) = Checker::find() else { return };
    let setup = trained(&["model.encoder.depth=2", "pipeline.size=[32, 48]"]);
    let (out, run) = (setup.path("export"), setup.run());
    export(&run, &out, &[]).ended_with(0).prints(&["model.safetensors", "README.md", "licence"]);
    let frames = frames_and_tokens(&setup, &checkpoint(&setup, 10).join("encoder.safetensors"));
    checker
        .run(&["timm".as_ref(), &out, &frames])
        .ended_with(0)
        .prints(&["timm: tokens of shape [12, 25, 24]"]);
    // An export is never overwritten: a user may have filled in the licence.
    export(&run, &out, &[]).ended_with(1).complains(&["exists", "--out"]);
}

#[test]
fn dinov2_and_timm_give_the_tokens_of_a_student_in_dinov2s_layout() {
    let Some(checker) = Checker::find() else { return };
    let setup = trained(&["model.method.momentum=0.999"]);
    let [student, teacher] = ["student", "teacher"].map(|it| setup.path(it));
    let from = checkpoint(&setup, 10);
    for (whose, out) in [("student", &student), ("teacher", &teacher)] {
        export(&from, out, &["--layout", "dinov2", "--encoder", whose]).ended_with(0);
    }
    let weights = |folder: &Path| fs::read(folder.join("model.safetensors")).unwrap();
    assert!(weights(&student) != weights(&teacher), "a teacher of momentum 0.999 lags behind");
    let frames = frames_and_tokens(&setup, &student.join("model.safetensors"));
    for by in ["dinov2", "timm"] {
        checker
            .run(&[by.as_ref(), &student, &frames])
            .ended_with(0)
            .prints(&["tokens of shape [12, 17, 24]"]);
    }
    // The teacher's tokens differ from the student's, so that a mix-up of the two would be seen.
    let frames = frames_and_tokens(&setup, &from.join("encoder.safetensors"));
    checker.run(&["timm".as_ref(), &teacher, &frames]).ended_with(0);
    checker.run(&["timm".as_ref(), &student, &frames]).ended_with(1).complains(&["apart"]);
}

#[test]
fn timm_gives_the_features_of_an_exported_resnet() {
    let Some(checker) = Checker::find() else { return };
    let resnet = "{ arch = \"resnet18\" }";
    let method = "{ name = \"vicreg\", projector = \"32-16\" }";
    let setup = trained(&[
        &format!("model.encoder={resnet}"),
        &format!("model.method={method}"),
        "pipeline.size=[64, 64]",
    ]);
    let out = setup.path("export");
    export(&setup.run(), &out, &["--encoder", "teacher"])
        .ended_with(1)
        .complains(&["no teacher", "--encoder student"]);
    export(&setup.run(), &out, &["--layout", "dinov2"]).ended_with(1).complains(&["no ResNet"]);
    export(&setup.run(), &out, &[]).ended_with(0);
    let frames = frames_and_tokens(&setup, &checkpoint(&setup, 10).join("encoder.safetensors"));
    checker
        .run(&["timm".as_ref(), &out, &frames])
        .ended_with(0)
        .prints(&["timm: tokens of shape [12, 5, 512]"]);
}

/// LayerScale and the positions of another grid are imported, and ten steps change nothing.
#[test]
fn a_frozen_encoder_of_timm_gives_timms_tokens_after_a_run() {
    let Some(checker) = Checker::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("timm.safetensors");
    checker.run(&["make".as_ref(), &weights]).ended_with(0);
    let setup = trained(&[
        &format!("model.encoder.weights={}", weights.display()),
        "model.encoder.frozen=true",
    ]);
    for whose in ["student", "teacher"] {
        let out = setup.path(whose);
        export(&setup.run(), &out, &["--encoder", whose]).ended_with(0);
        let frames = frames_and_tokens(&setup, &out.join("model.safetensors"));
        checker
            .run(&["resampled".as_ref(), &weights, &frames])
            .ended_with(0)
            .prints(&["resampled: tokens of shape [12, 17, 24]"]);
    }
}

#[test]
fn weights_that_do_not_fit_are_a_bad_config() {
    let setup = trained(&[]);
    let file = checkpoint(&setup, 10).join("encoder.safetensors");
    let given = format!("model.encoder.weights={}", file.display());
    let missing = "model.encoder.weights=none.safetensors";
    for (sets, parts) in [
        (&[missing][..], &["model.encoder.weights", "none.safetensors", "cannot be read"]),
        (&[&given, "model.encoder.dim=36"], &["encoder.safetensors", "of shape [24]", "not [36]"]),
        (
            &["model.encoder.frozen=true"],
            &["model.encoder.frozen", "needs trained weights", "test.toml"],
        ),
    ] {
        setup.train(sets).ended_with(78).complains(parts);
    }
}

#[test]
fn the_card_describes_the_encoder_and_names_no_path_of_the_data() {
    let setup = trained(&[]);
    let out = setup.path("export");
    export(&setup.run(), &out, &[]).ended_with(0);
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    for part in [
        "---\nlicense: other\n",
        "\nlibrary_name: timm\n",
        "\n- tdv\n",
        "\n# first\n",
        "the weights of the teacher after 10 steps",
        "1 blocks, 24 wide, 3 heads, patches of 8 x 8",
        "32 x 32",
        "mean [0.485,0.456,0.406]",
        "17 tokens of 24 numbers",
        "import timm",
        "[model.method.head]",
        "The config of the run, over 2 streams",
        "To be decided by the owner of these weights",
    ] {
        assert!(card.contains(part), "{part:?} is not in\n{card}");
    }
    for part in ["street", "tree", "tests/media", &setup.run().display().to_string()] {
        assert!(!card.contains(part), "{part:?} is in\n{card}");
    }
    let metrics = setup.table("metrics");
    let rows = metrics.counts("step").into_iter().zip(metrics.text("name"));
    let mut last = rows.zip(metrics.reals("value")).filter(|((step, _), _)| *step == 10);
    let ((_, name), value) = last.next().unwrap();
    assert!(card.contains("Measured by the run at step 10,"), "{card}");
    assert!(card.contains(&format!("| `{name}` | {value:.4} |\n")), "{name} is not in\n{card}");
    assert!(last.all(|((_, name), _)| card.contains(&format!("| `{name}` | "))), "{card}");
    let timm = fs::read(out.join("config.json")).unwrap();
    let timm: serde_json::Value = serde_json::from_slice(&timm).unwrap();
    assert_eq!(timm["num_classes"], 0);
    assert_eq!(timm["pretrained_cfg"]["crop_mode"], "center");

    let nothing = setup.path("nothing");
    export(&nothing, &out, &[]).ended_with(1).complains(&["neither a checkpoint nor a run"]);
}
