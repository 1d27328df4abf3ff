//! The device that computes. No other file names a backend.

use std::fmt;
use std::path::Path;
use std::process::Command;

use burn::tensor::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The device that computes: `"auto"` (default), `"cpu"`, `"cuda"`, `"cuda:N"` for GPU N counted
/// from 0, or `"vulkan"`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// The first CUDA GPU if this binary can use it, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA GPU with this index.
    Cuda(usize),
    /// The default Vulkan device, which may be Mesa's software renderer.
    Vulkan,
}

/// The CPU, for weights that are read or checked but not trained.
pub(crate) fn cpu() -> Device {
    Device::flex()
}

impl TryFrom<String> for DeviceChoice {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "vulkan" => Ok(Self::Vulkan),
            _ => (text.strip_prefix("cuda:").and_then(|it| it.parse().ok()).map(Self::Cuda))
                .ok_or_else(|| {
                    format!("unknown device {text:?}; write auto, cpu, cuda, cuda:N or vulkan")
                }),
        }
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Vulkan => f.write_str("vulkan"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device, without gradient tracking.
    ///
    /// # Errors
    /// The binary was built without the feature, the driver is missing, or the GPU does not exist.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Auto => Ok(cuda(0).unwrap_or_else(|_| Device::flex())),
            Self::Cpu => Ok(Device::flex()),
            Self::Cuda(index) => cuda(index).map_err(|message| self.error(message)),
            Self::Vulkan => vulkan().map_err(|message| self.error(message)),
        }
    }

    fn error(self, message: String) -> Error {
        Error::Device { device: self.to_string(), message }
    }
}

/// The name of a device for people: `cpu`, or the backend's own name.
pub fn device_name(device: &Device) -> String {
    let device = device.clone().inner();
    if device == Device::flex() { "cpu".into() } else { format!("{device:?}") }
}

/// Checks for the driver and the GPU first, because the backend panics without them.
fn cuda(index: usize) -> std::result::Result<Device, String> {
    if !cfg!(feature = "cuda") {
        return Err("this binary was built without CUDA; build it with `--features cuda`".into());
    }
    if !has_library("libcuda.so.1") {
        return Err("libcuda.so.1 is missing; install the NVIDIA driver, or use \"cpu\"".into());
    }
    let found = (0..).take_while(|it| Path::new(&format!("/dev/nvidia{it}")).exists()).count();
    if index >= found && !Path::new("/dev/dxg").exists() {
        return Err(format!(
            "GPU {index} does not exist: /dev/nvidia* lists {found}, counted from 0"
        ));
    }
    open_and_test(|| {
        #[cfg(feature = "cuda")]
        return Device::cuda(index);
        #[cfg(not(feature = "cuda"))]
        unreachable!("built without CUDA")
    })
}

fn vulkan() -> std::result::Result<Device, String> {
    if !cfg!(feature = "vulkan") {
        return Err(
            "this binary was built without Vulkan; build it with `--features vulkan`".into()
        );
    }
    if !has_library("libvulkan.so.1") {
        return Err("libvulkan.so.1 is missing; install the Vulkan loader, or use \"cpu\"".into());
    }
    open_and_test(|| {
        #[cfg(feature = "vulkan")]
        return Device::vulkan(burn::tensor::DeviceKind::DefaultDevice);
        #[cfg(not(feature = "vulkan"))]
        unreachable!("built without Vulkan")
    })
}

/// Opens a device and computes with it once. A panic of the backend becomes an error message.
fn open_and_test(
    open: impl FnOnce() -> Device + std::panic::UnwindSafe,
) -> std::result::Result<Device, String> {
    let opened = std::panic::catch_unwind(|| {
        let device = open();
        let one: f32 = burn::tensor::Tensor::<1>::ones([1], &device).into_scalar();
        (one == 1.0).then_some(device)
    });
    opened.ok().flatten().ok_or_else(|| "the device exists, but a first computation on it failed; update its driver, or use \"cpu\"".into())
}

fn has_library(name: &str) -> bool {
    let listed = Command::new("ldconfig").arg("-p").output();
    let listed = listed.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains(name));
    let path = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    listed || std::env::split_paths(&path).any(|folder| folder.join(name).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_name_survives_a_round_trip() {
        for name in ["auto", "cpu", "cuda:0", "cuda:3", "vulkan"] {
            let choice = DeviceChoice::try_from(name.to_owned()).unwrap();
            assert_eq!(choice.to_string(), name);
        }
        assert_eq!(DeviceChoice::try_from("cuda".to_owned()).unwrap(), DeviceChoice::Cuda(0));
        for name in ["gpu", "cuda:", "cuda:x", "CPU"] {
            assert!(DeviceChoice::try_from(name.to_owned()).is_err(), "{name} was accepted");
        }
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn cuda_without_the_feature_says_so() {
        let message = DeviceChoice::Cuda(0).open().unwrap_err().to_string();
        assert!(message.contains("--features cuda"), "{message}");
        assert!(DeviceChoice::Auto.open().is_ok());
    }
}
