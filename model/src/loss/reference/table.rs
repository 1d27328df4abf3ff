//! The table of losses by name, which the reference and the extreme inputs share.

use burn::tensor::{Device, Tensor};
use serde_json::Value;

use super::matrix;
use crate::loss::barlow_twins::barlow_twins;
use crate::loss::contrastive::*;
use crate::loss::cosine::*;
use crate::loss::dcl::*;
use crate::loss::duality::*;
use crate::loss::lejepa::lejepa;
use crate::loss::sigreg::sigreg;
use crate::loss::simclr::*;
use crate::loss::spectral::spectral;
use crate::loss::tico::tico;
use crate::loss::vicreg::vicreg;
use crate::loss::vicreg_exp::*;
use crate::loss::*;

/// A loss of two views.
pub(super) type Loss = Box<dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<1>>;

/// The loss that `name` stands for in a reference case, with the case's
/// `hyper`-parameters and `directions` `[d, s]`.
pub(super) fn loss(name: &str, hyper: &Value, directions: &Tensor<2>) -> Option<Loss> {
    let number = |key: &str| {
        hyper[key].as_f64().unwrap_or_else(|| panic!("{name}: hyper has no number {key:?}"))
    };
    let slices = directions.clone();
    // Names carry some hyper-parameters; `hyper` carries all.
    let family =
        ["ntxent_tau", "spectral_mu", "tico_step"].into_iter().find(|it| name.starts_with(it));
    Some(match family.unwrap_or(name) {
        "ntxent_tau" => with(number("tau"), |a, b, t| nt_xent(a, b, t, None)),
        "simclr_sq_negonly" => {
            with(number("tau"), |a, b, t| simclr_sq(a, b, t, Positives::Plain, None))
        }
        "simclr_sq_all" => {
            with(number("tau"), |a, b, t| simclr_sq(a, b, t, Positives::Transformed, None))
        }
        "simclr_abs_negonly" => {
            with(number("tau"), |a, b, t| simclr_abs(a, b, t, Positives::Plain, None))
        }
        "simclr_abs_all" => {
            with(number("tau"), |a, b, t| simclr_abs(a, b, t, Positives::Transformed, None))
        }
        "dcl" => with(number("tau"), |a, b, t| dcl(a, b, t, None)),
        "dcl_oneway" => with(number("tau"), |a, b, t| dcl_one_way(a, b, t, None)),
        "dclw" => with([number("tau"), number("sigma")], |a, b, [tau, sigma]| {
            dclw(a, b, tau, sigma, None)
        }),
        "spectral_mu" => with(number("mu"), |a, b, mu| spectral(a, b, mu, None)),
        "vicreg_official" => {
            let [sim_coeff, std_coeff, cov_coeff] = ["lambda", "mu", "nu"].map(number);
            with(VicReg { sim_coeff, std_coeff, cov_coeff }, |a, b, it| vicreg(a, b, &it))
        }
        "vicreg_sololearn" => {
            let [sim_coeff, half, cov_coeff] = ["lambda", "mu", "nu"].map(number);
            let config = VicReg { sim_coeff, std_coeff: 2.0 * half, cov_coeff };
            with(config, |a, b, it| vicreg(a, b, &it))
        }
        "vicreg_exp" => {
            let [sim_coeff, std_coeff, cov_coeff, temperature] =
                ["lambda", "mu", "nu", "tau"].map(number);
            let config = VicRegExp { sim_coeff, std_coeff, cov_coeff, temperature };
            with(config, |a, b, it| vicreg_exp(a, b, &it))
        }
        "vicreg_ctr_literal" | "vicreg_ctr_unitnorm" => {
            let [sim_coeff, std_coeff, cov_coeff, temperature] =
                ["lambda", "mu", "nu", "tau"].map(number);
            let literal = name.ends_with("literal");
            let reading = if literal { CtrReading::Literal } else { CtrReading::UnitNorm };
            let config = VicRegCtr { sim_coeff, std_coeff, cov_coeff, temperature, reading };
            with(config, |a, b, it| vicreg_ctr(a, b, &it))
        }
        "barlow_official" | "barlow_lightly" => with(number("lambda"), barlow_twins),
        "barlow_sololearn" => with(["lambda", "scale"].map(number), |a, b, [lambda, scale]| {
            barlow_twins(a, b, lambda) * scale
        }),
        "tico_step" => {
            let [beta, rho] = ["beta", "rho"].map(number);
            let through_covariance = !hyper["detach_B"].as_bool().unwrap();
            let before = matrix(&hyper["C_prev"], &directions.device());
            with(TiCo { beta, rho, through_covariance }, move |a, b, it| {
                tico(a, b, before.clone(), &it).0
            })
        }
        "seqjepa_cosine" => Box::new(cosine_distance),
        "byol_direction" => Box::new(byol),
        "simsiam_direction" => Box::new(sim_siam),
        "sigreg_official" | "sigreg_paper_alg1" => {
            assert_eq!(hyper["times_N"], true);
            with(quadrature(hyper), move |a, _, it| sigreg(a, slices.clone(), &it))
        }
        "lejepa_official" => {
            assert_eq!(number("views"), 2.0);
            let config = LeJepa { lambda: number("lambda"), ..LeJepa::default() };
            with(config, move |a, b, it| lejepa(&[a, b], 2, &slices, &it))
        }
        _ => return None,
    })
}

fn with<H: Clone + 'static>(
    hyper: H,
    loss: impl Fn(Tensor<2>, Tensor<2>, H) -> Tensor<1> + 'static,
) -> Loss {
    Box::new(move |z1, z2| loss(z1, z2, hyper.clone()))
}

/// Losses that no reference entry names.
pub(super) fn others(device: &Device) -> Vec<(&'static str, Loss)> {
    let device = device.clone();
    vec![
        ("sample_contrastive", Box::new(|a, _| sample_contrastive(a))),
        ("dimension_contrastive", Box::new(|a, _| dimension_contrastive(a))),
        ("two_way_nt_xent", {
            Box::new(move |a: Tensor<2>, b: Tensor<2>| {
                let contexts = Tensor::cat(vec![a.clone(), b.clone()], 0);
                let targets = Tensor::cat(vec![b, a], 0);
                two_way_nt_xent(contexts, targets, Tensor::ones([1], &device), 0.1, None)
            })
        }),
    ]
}

/// `"[0,3] doubled"` and a number of knots.
fn quadrature(hyper: &Value) -> SigReg {
    let (range, rest) = hyper["range"].as_str().unwrap().split_once(']').unwrap();
    let ends: Vec<f64> =
        range.trim_start_matches('[').split(',').map(|it| it.parse().unwrap()).collect();
    let knots = hyper["knots"].as_u64().unwrap() as usize;
    let doubled = match rest.trim() {
        "" => false,
        "doubled" => true,
        _ => panic!("{rest:?} is no form of weights"),
    };
    SigReg { knots, range: [ends[0], ends[1]], doubled }
}
