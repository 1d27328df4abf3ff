//! Actions: the change from one view to the next, on which seq-JEPA is conditioned (section 2.2).

use burn::tensor::Tensor;

/// Differences of consecutive positions, `[n, m + 1, a]` to `[n, m, a]`. For fixations these are
/// the saccades.
pub(crate) fn differences(positions: Tensor<3>) -> Tensor<3> {
    let last = positions.dims()[1] - 1;
    positions.clone().narrow(1, 1, last) - positions.narrow(1, 0, last)
}

/// The rotation `from⁻¹ · to` between two orientations in the body's frame, as unit quaternions
/// (x, y, z, w). A quaternion and its negative are the same rotation; see [`canonical`].
pub fn relative_rotation(from: [f64; 4], to: [f64; 4]) -> [f64; 4] {
    let [ax, ay, az, aw] = [-from[0], -from[1], -from[2], from[3]];
    let [bx, by, bz, bw] = to;
    [
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    ]
}

/// The quaternion or its negative, whichever has w ≥ 0. The authors do not choose a sign, but
/// telemetry alternates between both.
pub fn canonical(quaternion: [f64; 4]) -> [f64; 4] {
    if quaternion[3] < 0.0 { quaternion.map(|it| -it) } else { quaternion }
}

/// Differences between the parameters of consecutive views. Each parameter is first divided by its
/// norm over all views including the target, as in the authors' code.
pub fn augmentation_actions<const P: usize>(views: &[[f64; P]]) -> Vec<[f64; P]> {
    let norms: [f64; P] = std::array::from_fn(|idx| {
        views.iter().map(|it| it[idx] * it[idx]).sum::<f64>().sqrt().max(1e-12)
    });
    let difference =
        |pair: &[[f64; P]]| std::array::from_fn(|idx| (pair[1][idx] - pair[0][idx]) / norms[idx]);
    views.windows(2).map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rotation by `angle` around the z axis.
    fn rotation_by(angle: f64) -> [f64; 4] {
        [0.0, 0.0, (angle / 2.0).sin(), (angle / 2.0).cos()]
    }

    fn assert_close(got: [f64; 4], wanted: [f64; 4]) {
        assert!(got.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?} {wanted:?}");
    }

    #[test]
    fn rotations_around_one_axis_subtract() {
        assert_close(relative_rotation(rotation_by(0.4), rotation_by(1.9)), rotation_by(1.5));
        assert_close(relative_rotation(rotation_by(0.4), rotation_by(0.4)), [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn a_quaternion_and_its_negative_become_the_same() {
        let rotation = relative_rotation(rotation_by(0.2), rotation_by(6.2));
        assert!(rotation[3] < 0.0, "the long way round");
        let opposite = rotation.map(|it| -it);
        assert_close(canonical(rotation), opposite);
        assert_close(canonical(opposite), opposite);
    }

    #[test]
    fn a_parameter_that_is_always_zero_gives_zero_actions() {
        assert_eq!(augmentation_actions(&[[0.0, 3.0], [0.0, 4.0]]), [[0.0, 0.2]]);
    }
}
