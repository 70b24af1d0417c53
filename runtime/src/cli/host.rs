//! This machine and this build: what `/info` and `/version` tell of them, how many files may be open, and what a crash leaves.

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::system::uname;
use swarm_core::cluster::HostInfo;
use swarm_core::config::Manage;

use super::Env;

/// The machine and the build, as a manager with `config` shows them.
pub(super) fn host_info(env: &Env, config: &Manage) -> HostInfo {
    let machine = uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let variable = |value: &Option<String>| value.clone().unwrap_or_default();
    HostInfo {
        name: text(machine.nodename()),
        os: std::env::consts::OS.to_owned(),
        arch: go_arch(std::env::consts::ARCH).to_owned(),
        kernel: text(machine.release()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("SWARM_GIT_COMMIT").unwrap_or("HEAD").to_owned(),
        built: option_env!("SWARM_BUILD_TIME")
            .unwrap_or("<unknown>")
            .to_owned(),
        http_proxy: variable(&env.http_proxy),
        https_proxy: variable(&env.https_proxy),
        no_proxy: variable(&env.no_proxy),
        experimental: config.experimental,
        debug: config.debug,
    }
}

/// How many files a manager may have open, which raises its limit as far as it may; `None` for any number.
pub(super) fn open_files_allowed() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Raises the limit on open files to what this process may have. Every engine needs a few connections, and shells and
/// service managers start programs with 1,024 files, whatever they may have.
pub(super) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "cannot raise the limit on open files");
    }
}

/// Lets a crash leave no file with this process's memory: requests carry passwords of registries. Whoever needs one raises
/// the limit of the running process.
pub(super) fn leave_no_core_file() {
    let mut limit = getrlimit(Resource::Core);
    limit.current = Some(0);
    if let Err(error) = setrlimit(Resource::Core, limit) {
        tracing::debug!(%error, "cannot lower the limit on core files");
    }
}

/// Go's names of architectures, which Docker clients know.
fn go_arch(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
