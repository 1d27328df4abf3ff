//! seq-JEPA after its encoder against numbers that the authors' program produced, and against a
//! small forward pass with all its intermediate values.

use burn::module::Module;
use burn::nn::Linear;
use burn::optim::GradientsParams;
use burn::store::SafetensorsStore;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::Value;

use super::aggregator::AggregatorShape;
use super::heads::{Heads, without_last};
use super::{Config, loss};
use crate::Init;
use crate::nn::batch_norm::NormMode;
use crate::reference_cases::{Case, cases, device, json_files, load};
use crate::views::actions::differences;

/// A stand-in for the encoder, as in the case: pixels, flattened, and one linear layer.
#[derive(Module, Debug)]
struct Linears {
    encoder: Linear,
    heads: Heads,
}

const NAMES: [(&str, &str); 10] = [
    (r"^encoder\.1\.", "encoder."),
    (r"^action_proj\.0\.", "heads.action_proj.linear."),
    (r"^agg_token", "heads.aggregator.agg_token"),
    (r"^transformer_encoder\.transformer_encoder\.layers\.", "heads.aggregator.layers."),
    (r"^transformer_encoder\.norm\.", "heads.aggregator.norm."),
    (r"in_proj_weight", "in_proj.weight"),
    (r"in_proj_bias", "in_proj.bias"),
    (r"^predictor\.0\.", "heads.predictor.linears.0."),
    (r"^predictor\.1\.", "heads.predictor.norms.0."),
    (r"^predictor\.3\.", "heads.predictor.linears.1."),
];

fn torch_path(path: &str) -> String {
    let layers = "transformer_encoder.transformer_encoder.layers.";
    [
        ("heads.aggregator.layers.", layers),
        ("heads.aggregator.norm.", "transformer_encoder.norm."),
        ("heads.aggregator.agg_token", "agg_token"),
        ("heads.action_proj.linear.", "action_proj.0."),
        ("heads.predictor.linears.0.", "predictor.0."),
        ("heads.predictor.norms.0.", "predictor.1."),
        ("heads.predictor.linears.1.", "predictor.3."),
        ("in_proj.weight", "in_proj_weight"),
        ("in_proj.bias", "in_proj_bias"),
    ]
    .iter()
    .fold(
        path.replace("encoder.weight", "encoder.1.weight")
            .replace("encoder.bias", "encoder.1.bias"),
        |path, (burn, torch)| path.replace(burn, torch),
    )
}

fn size(case: &Case, key: &str) -> usize {
    case.number(&format!("/{key}")) as usize
}

fn networks(case: &Case, device: &Device) -> Linears {
    assert_eq!(case.number("/dropout"), 0.0);
    let config = Config {
        action_dim: size(case, "action_embedding_dim"),
        heads: size(case, "heads"),
        depth: size(case, "layers"),
        predictor: size(case, "predictor_hidden"),
        ..Config::default()
    };
    let init = &mut Init::new(0, device);
    let (side, dim) = (size(case, "view_size"), size(case, "encoder_dim"));
    let encoder = init.default_linear(3 * side * side, dim);
    let heads = config.init_heads([dim, size(case, "action_dim")], config.aggregator(dim), init);
    case.load(Linears { encoder, heads }, &NAMES)
}

fn is_seq_jepa(json: &Value) -> bool {
    json.get("observed_views").is_some() && json.get("action_embedding_dim").is_some()
}

#[test]
fn the_aggregate_loss_and_gradients_are_the_authors() {
    let (plain, tracked) = (device(), device().autodiff());
    for case in cases(is_seq_jepa) {
        let networks = networks(&case, &tracked);
        let [n, m] = ["batch", "observed_views"].map(|it| size(&case, it));
        let pixels = |name: &str, device: &Device| {
            let views = case.input::<5>(name, device);
            let [_, views_each, ..] = views.dims();
            views.reshape([(n * views_each) as i32, -1])
        };
        let dim = size(&case, "encoder_dim");
        let encodings: Tensor<2> = networks.encoder.forward(pixels("views_observed", &tracked));
        let target = {
            let linear = |part: &str| format!("target_encoder.1.{part}");
            let weight: Tensor<2> = case.input(&linear("weight"), &plain);
            let bias: Tensor<1> = case.input(&linear("bias"), &plain);
            let pixels: Tensor<2> = pixels("view_target", &plain);
            pixels.matmul(weight.transpose()) + bias.unsqueeze()
        };
        let actions = differences(case.input("positions", &tracked));
        let observed = encodings.reshape([n, m, dim]);
        let counted = without_last(actions.clone());
        let prediction =
            networks.heads.forward(observed, actions, counted, NormMode::Train, &mut None);
        case.assert_close("aggregate", prediction.aggregate.clone().inner(), 1e-5);
        let loss = loss(&prediction, Tensor::from_inner(target));
        case.assert_number("/loss", loss.clone().into_scalar::<f32>().into(), 1e-5);
        let grads = GradientsParams::from_grads(loss.backward(), &networks);
        let compared = case.compare_gradients(&networks, &grads, "grad.", torch_path);
        assert_eq!(
            compared.len(),
            case.expects("grad."),
            "{}: not every gradient was compared",
            case.name
        );
    }
}

fn tensor<const D: usize>(value: &Value, shape: [usize; D], device: &Device) -> Tensor<D> {
    fn flatten(value: &Value, into: &mut Vec<f32>) {
        match value {
            Value::Array(values) => values.iter().for_each(|it| flatten(it, into)),
            number => into.push(number.as_f64().unwrap() as f32),
        }
    }
    let mut values = Vec::new();
    flatten(value, &mut values);
    Tensor::from_data(TensorData::new::<f32, _>(values, shape), device)
}

/// The small forward pass's names of weights, and PyTorch's.
const TINY: [(&str, &str); 21] = [
    ("action_W", "action_proj.0.weight"),
    ("agg_token", "agg_token"),
    ("in_proj_W", "LAYER.self_attn.in_proj_weight"),
    ("in_proj_b", "LAYER.self_attn.in_proj_bias"),
    ("out_proj_W", "LAYER.self_attn.out_proj.weight"),
    ("out_proj_b", "LAYER.self_attn.out_proj.bias"),
    ("ff1_W", "LAYER.linear1.weight"),
    ("ff1_b", "LAYER.linear1.bias"),
    ("ff2_W", "LAYER.linear2.weight"),
    ("ff2_b", "LAYER.linear2.bias"),
    ("ln1_g", "LAYER.norm1.weight"),
    ("ln1_b", "LAYER.norm1.bias"),
    ("ln2_g", "LAYER.norm2.weight"),
    ("ln2_b", "LAYER.norm2.bias"),
    ("lnf_g", "transformer_encoder.norm.weight"),
    ("lnf_b", "transformer_encoder.norm.bias"),
    ("pred1_W", "predictor.0.weight"),
    ("pred_bn_g", "predictor.1.weight"),
    ("pred_bn_b", "predictor.1.bias"),
    ("pred2_W", "predictor.3.weight"),
    ("pred2_b", "predictor.3.bias"),
];

/// The weights of the small forward pass as a file of PyTorch's.
fn tiny_weights(weights: &Value) -> Vec<u8> {
    let tensors = TINY.iter().map(|(name, torch)| {
        let value = &weights[*name];
        let mut shape = Vec::new();
        let mut inner = value;
        while let Value::Array(values) = inner {
            shape.push(values.len());
            inner = &values[0];
        }
        let values: Tensor<1> = tensor(value, [shape.iter().product()], &Device::flex());
        if *name == "agg_token" {
            shape = vec![1, 1, shape[0]];
        }
        let name = torch.replace("LAYER", "transformer_encoder.transformer_encoder.layers.0");
        let bytes: Vec<u8> = values.into_data().iter::<f32>().flat_map(f32::to_le_bytes).collect();
        (name, shape, bytes)
    });
    let tensors: Vec<_> = tensors.collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (name.clone(), view)
    });
    safetensors::serialize(views, None).unwrap()
}

/// In this one the last action itself counts in the statistics, as in the authors' 3DIEBench.
#[test]
fn the_small_forward_pass_agrees_at_every_step() {
    let tracked = device().autodiff();
    for (_, json) in json_files(|it| it.pointer("/seqjepa/tiny_forward").is_some()) {
        let case = &json["seqjepa"]["tiny_forward"];
        let size = |key: &str| case["config"][key].as_u64().unwrap() as usize;
        let [n, m, d, a] = ["B", "M", "d_z", "d_action"].map(size);
        let config = Config {
            action_dim: size("d_action_emb"),
            heads: size("heads"),
            depth: size("layers"),
            predictor: size("pred_hidden"),
            ..Config::default()
        };
        let shape = AggregatorShape { hidden: size("ff"), ..config.aggregator(d) };
        let heads = config.init_heads([d, a], shape, &mut Init::new(0, &tracked));
        let names: Vec<_> =
            NAMES.map(|(torch, burn)| (torch, burn.trim_start_matches("heads."))).into();
        let store = SafetensorsStore::from_bytes(Some(tiny_weights(&case["weights"])));
        let heads = load(heads, store, &names);
        let observed = tensor(&case["z_obs"], [n, m, d], &tracked).require_grad();
        let actions = tensor(&case["actions"], [n, m, a], &tracked);
        let target = tensor(&case["z_target"], [n, d], &device());
        let close = |got: Tensor<1>, wanted: &Value, what: &str| {
            let shape = got.dims();
            let off = got - tensor(wanted, shape, &device());
            let off: f32 = off.abs().max().into_scalar();
            assert!(off < 1e-5, "{what} is off by {off}");
        };
        let wanted = &case["intermediate"];
        let embedding = heads.action_proj.as_ref().unwrap();
        let embedded = embedding.observed(actions.clone(), NormMode::Train);
        let prediction =
            heads.forward(observed.clone(), actions.clone(), actions, NormMode::Train, &mut None);
        close(embedded.inner().flatten(0, 2), &wanted["action_embedding_obs"], "observed");
        let last = prediction.last_action.clone().unwrap();
        close(last.inner().flatten(0, 1), &wanted["action_embedding_next"], "next");
        close(prediction.aggregate.clone().inner().flatten(0, 1), &wanted["z_agg"], "aggregate");
        close(
            prediction.predicted.clone().inner().flatten(0, 1),
            &wanted["prediction"],
            "predicted",
        );
        let loss = loss(&prediction, Tensor::from_inner(target));
        close(loss.clone().inner(), &case["loss"], "loss");
        let grad = observed.grad(&loss.backward()).unwrap();
        close(grad.flatten(0, 2), &case["grad_z_obs"], "gradient");
    }
}

#[test]
fn the_order_of_the_observed_pairs_does_not_matter() {
    let device = device();
    let mut init = Init::new(3, &device);
    let config = Config { action_dim: 4, heads: 2, predictor: 8, ..Config::default() };
    let heads = config.init_heads([6, 2], config.aggregator(6), &mut init);
    let random = |shape: [usize; 3]| {
        Tensor::<3>::random(shape, burn::tensor::Distribution::Normal(0.0, 1.0), &device)
    };
    let (observed, actions) = (random([5, 4, 6]), random([5, 4, 2]));
    let swap = |x: &Tensor<3>| {
        let view = |idx| x.clone().narrow(1, idx, 1);
        Tensor::cat(vec![view(2), view(0), view(1), view(3)], 1)
    };
    let aggregate = |observed: Tensor<3>, actions: Tensor<3>| {
        let counted = without_last(actions.clone());
        heads.forward(observed, actions, counted, NormMode::Train, &mut None).aggregate
    };
    let one = aggregate(observed.clone(), actions.clone());
    let other = aggregate(swap(&observed), swap(&actions));
    let off: f32 = (one.clone() - other).abs().max().into_scalar();
    assert!(off < 1e-5, "{off}");
    let mixed: f32 = (one - aggregate(swap(&observed), actions)).abs().max().into_scalar();
    assert!(mixed > 1e-2, "views without their actions: {mixed}");
}
