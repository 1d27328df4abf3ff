//! Gives up every right that decoding does not need.

use std::{
    env,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, LandlockStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::set_no_new_privs,
};

use super::seccomp;
use crate::source;

/// The newest version of landlock that is used. An older kernel gives what it has.
const NEWEST: ABI = ABI::V6;

/// What the C library, GStreamer, its plugins and their TLS read.
const SYSTEM: [&str; 27] = [
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/drirc",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/gnutls",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/driver/nvidia",
    "/sys/class",
    "/sys/dev",
    "/sys/devices",
];

/// Variables that name further folders of libraries and plugins.
const FOLDERS: [&str; 5] = [
    "GST_PLUGIN_PATH",
    "GST_PLUGIN_PATH_1_0",
    "GST_PLUGIN_SYSTEM_PATH",
    "GST_PLUGIN_SYSTEM_PATH_1_0",
    "LD_LIBRARY_PATH",
];

/// Devices of decoders and cameras: their names in `/dev` start with these.
const DEVICES: [&str; 8] = ["null", "zero", "urandom", "random", "video", "media", "dri", "nvidia"];

/// Confines this process to reading `grants` and the system's libraries, and to `memory` MiB (0: no
/// limit). Returns what it gave up, and what the kernel does not offer.
pub(super) fn confine(grants: &[PathBuf], memory: u64) -> String {
    // Before the sandbox, because it may start a program that scans new plugins, and write a cache.
    if let Err(problem) = source::init() {
        tracing::debug!("{problem}");
    }
    let privileges = match set_no_new_privs(true) {
        Ok(()) => "no new privileges".into(),
        Err(error) => format!("new privileges are possible ({error})"),
    };
    let files = read_only(grants).unwrap_or_else(|it| format!("landlock failed ({it})"));
    let calls = match seccomp::install() {
        Ok(()) => "seccomp".into(),
        Err(error) => format!("seccomp not available ({error})"),
    };
    let memory = match limit(memory) {
        Ok(()) if memory == 0 => "no memory limit".into(),
        Ok(()) => format!("memory limit {memory} MiB"),
        Err(error) => format!("memory limit not possible ({error})"),
    };
    [privileges, files, calls, memory].join(", ")
}

fn read_only(grants: &[PathBuf]) -> Result<String, RulesetError> {
    let all = AccessFs::from_all(NEWEST);
    // The plugin scanner ran before; nothing else is ever executed.
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let device = read | AccessFs::WriteFile | AccessFs::IoctlDev;
    let status = Ruleset::default()
        .handle_access(all)?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, read))?
        .add_rules(path_beneath_rules(own_folders(), read))?
        .add_rules(path_beneath_rules(grants, read))?
        .add_rules(path_beneath_rules(devices(), device))?
        .restrict_self()?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => "landlock not available".into(),
        (_, LandlockStatus::Available { effective_abi, .. }) => {
            format!("landlock (ABI {})", effective_abi as i32)
        }
        _ => "landlock".into(),
    })
}

/// Folders of this user's and this environment's plugins, and of the plugin cache.
fn own_folders() -> Vec<PathBuf> {
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let base = |name: &str, default: &str| {
        env::var_os(name).map_or_else(|| home.join(default), PathBuf::from).join("gstreamer-1.0")
    };
    let mut folders = vec![base("XDG_CACHE_HOME", ".cache"), base("XDG_DATA_HOME", ".local/share")];
    for name in FOLDERS {
        let paths = env::var_os(name).unwrap_or_default();
        folders.extend(env::split_paths(&paths).filter(|it| it.is_absolute()));
    }
    folders
}

fn devices() -> Vec<PathBuf> {
    let entries = Path::new("/dev").read_dir().into_iter().flatten().flatten();
    let known = |it: &PathBuf| {
        let name = it.file_name().unwrap_or_default().to_string_lossy();
        DEVICES.iter().any(|it| name.starts_with(it))
    };
    entries.map(|it| it.path()).filter(known).collect()
}

fn limit(memory: u64) -> rustix::io::Result<()> {
    if memory == 0 {
        return Ok(());
    }
    let maximum = getrlimit(Resource::As).maximum;
    let bytes = (memory << 20).min(maximum.unwrap_or(u64::MAX));
    setrlimit(Resource::As, Rlimit { current: Some(bytes), maximum: Some(bytes) })
}

#[cfg(test)]
mod tests;
