//! AdaSSL after its projector against numbers that the authors' program produced.

use burn::module::Module as _;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use serde_json::Value;

use super::latent::Networks;
use super::*;
use crate::Init;
use crate::reference_cases::{Case, cases, device};

fn is_adassl(json: &Value) -> bool {
    json["variant"].as_str().is_some_and(|it| it.starts_with("adassl-"))
}

/// The authors' names of stacks and editors.
const NAMES: [(&str, &str); 6] = [
    (r"^(.*)(prior_net|latent_predictor|predictor|editor)\.0\.", "$1$2.linears.0."),
    (r"^(.*)(prior_net|latent_predictor|predictor|editor)\.1\.", "$1$2.norms.0."),
    (r"^(.*)(prior_net|latent_predictor|predictor|editor)\.3\.", "$1$2.linears.1."),
    (r"^editor\.(linears|norms)", "editor.mlp.$1"),
    (r"^editor_in", "editor.rank_one.editor_in"),
    (r"^editor_out", "editor.rank_one.editor_out"),
];

fn torch_path(path: &str) -> String {
    let path = path.replace("editor.mlp.", "editor.").replace("editor.rank_one.", "");
    path.replace(".linears.0.", ".0.").replace(".norms.0.", ".1.").replace(".linears.1.", ".3.")
}

fn config(case: &Case) -> Config {
    let size = |key: &str| case.number(&format!("/{key}")) as usize;
    let (hidden, width) = (size("hidden"), size("embedding_dim"));
    let mlp = format!("{hidden}-{width}");
    Config {
        latent: if case.text("variant") == "adassl-v" { Latent::Gaussian } else { Latent::Sparse },
        dim: size("latent_dim"),
        hidden,
        editor: if case.text("editor") == "additive" { "additive".into() } else { mlp.clone() },
        objective: match case.text("objective") {
            "simclr" => Objective::Contrastive,
            "byol" => Objective::Distillation,
            other => panic!("unknown objective {other}"),
        },
        directions: Directions::Both,
        third_view: ThirdView::None,
        projector: mlp.clone().try_into().unwrap(),
        predictor: mlp,
        beta: case.number("/beta"),
        beta_warmup: 0.0,
        temperature: case.number("/temperature"),
        ..Config::default()
    }
}

/// The method and its networks with the case's weights.
fn init(case: &Case) -> (AdaSsl, Networks) {
    let config = config(case);
    let networks = config.networks().init(&mut Init::new(0, &device().autodiff()));
    let networks = case.load(networks, &NAMES);
    (AdaSsl { config, seed: 0, window: 1 }, networks)
}

#[test]
fn losses_predictions_and_gradients_are_the_authors() {
    let (plain, tracked) = (device(), device().autodiff());
    let all = cases(is_adassl);
    for case in &all {
        let (method, networks) = init(case);
        let leaf = |name: &str| case.input::<2>(name, &tracked).require_grad();
        let leaves = ["emb_x", "emb_y"].map(leaf);
        let student: Projections = leaves.iter().cloned().enumerate().collect();
        let teacher: Option<Projections> = (method.config.objective == Objective::Distillation)
            .then(|| ["target_emb_x", "target_emb_y"].map(|name| case.input(name, &plain)))
            .map(|views| views.into_iter().enumerate().collect());
        let noise = ["noise_x_to_y", "noise_y_to_x"].map(|name| case.input(name, &plain));
        let directions = method.directions(&student, teacher.as_ref());
        let predictions: Vec<_> = directions
            .into_iter()
            .zip(noise)
            .map(|(direction, noise)| method.predict(&networks, direction, noise))
            .collect();
        let ssl = method.objective(&networks, &predictions, &[]);
        let costs = [0, 1].map(|it| predictions[it].inferred.cost.clone());
        let [forward, backward] = costs;
        let cost = (forward + backward) / 2.0;
        let regulariser = cost * method.beta(0.5);
        let total = ssl.clone() + regulariser.clone();
        let number = |x: &Tensor<1>| f64::from(x.clone().into_scalar::<f32>());
        case.assert_number("/losses/ssl", number(&ssl), 1e-5);
        case.assert_number("/losses/regulariser_weighted", number(&regulariser), 1e-5);
        case.assert_number("/losses/total", number(&total), 1e-5);
        // The authors' x_hat and y_hat are edits, before any predictor.
        for (key, it) in [("y_hat", &predictions[0]), ("x_hat", &predictions[1])] {
            let (input, r) = (it.direction.input.clone(), it.inferred.r.clone());
            let edit = networks.edit(input, r, NormMode::Train);
            case.assert_close(key, edit.inner(), 1e-5);
        }
        let mut grads = total.backward();
        for (name, leaf) in ["emb_x", "emb_y"].iter().zip(&leaves) {
            let grad = leaf.grad_remove(&mut grads).unwrap();
            case.assert_close(&format!("grad.{name}"), grad, 1e-4);
        }
        let grads = GradientsParams::from_grads(grads, &networks);
        let compared = case.compare_gradients(&networks, &grads, "grad.", torch_path);
        assert_eq!(
            compared.len() + 2,
            case.expects("grad."),
            "{}: not every gradient was compared",
            case.name
        );
        assert_eq!(networks.num_params() > 0, !compared.is_empty());
    }
}

/// Both latents under both objectives, and the additive editor.
#[test]
fn our_own_cases_are_all_five() {
    if std::env::var_os("ONWARD_REFERENCE_DIR").is_none() {
        assert_eq!(cases(is_adassl).len(), 5);
    }
}
