//! The parameters of a network: their names and number. Running statistics of batch norms are
//! stored like parameters, but are not trained.

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

/// Whether a field holds running statistics instead of weights.
pub(crate) fn is_statistic(field: &str) -> bool {
    field.starts_with("running_")
}

/// How many numbers of a network are trained.
pub(crate) fn count<M: Module>(network: &M) -> usize {
    let mut counter = Counter { path: Vec::new(), sum: 0 };
    network.visit(&mut counter);
    counter.sum
}

struct Counter {
    path: Vec<String>,
    sum: usize,
}

impl ModuleVisitor for Counter {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !self.path.last().is_some_and(|it| is_statistic(it)) {
            self.sum += param.shape().num_elements();
        }
    }
}

/// All parameters of a network by name, as in `blocks.0.norm1.gamma`.
pub(crate) fn named<M: Module>(network: &M) -> Vec<(String, ParamId)> {
    let mut names = Names { path: Vec::new(), found: Vec::new() };
    network.visit(&mut names);
    names.found
}

struct Names {
    path: Vec<String>,
    found: Vec<(String, ParamId)>,
}

impl ModuleVisitor for Names {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.push((self.path.join("."), param.id));
    }
}
