//! The environment variables swarm knows.

/// Set by `swarm dev` for its managers: they end when their standard input, a pipe, does, so that none outlives it.
pub(crate) const END_WITH_STDIN: &str = "SWARM_END_WITH_STDIN";

/// What the environment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env {
    /// `DEBUG`, read as Go reads a bool.
    pub debug: bool,
    /// Whether `NO_COLOR` allows colours.
    pub color: bool,
    /// `SWARM_HOST`
    pub swarm_host: Option<String>,
    /// `SWARM_DISCOVERY`
    pub swarm_discovery: Option<String>,
    /// `SWARM_ADVERTISE`
    pub swarm_advertise: Option<String>,
    /// `DOCKER_HOST`
    pub docker_host: Option<String>,
    /// Whether `DOCKER_TLS_VERIFY` is set, to whatever.
    pub docker_tls_verify: bool,
    /// `DOCKER_CERT_PATH`
    pub docker_cert_path: Option<String>,
    /// `CONSUL_HTTP_TOKEN`
    pub consul_http_token: Option<String>,
    /// Whether `CONSUL_HTTP_AUTH` is set.
    pub consul_http_auth: bool,
    /// `ETCDCTL_USER`
    pub etcdctl_user: Option<String>,
    /// `SWARM_ZK_AUTH`
    pub zk_auth: Option<String>,
    /// `http_proxy`, only shown by `/info`, like the next two.
    pub http_proxy: Option<String>,
    /// `https_proxy`
    pub https_proxy: Option<String>,
    /// `no_proxy`
    pub no_proxy: Option<String>,
    /// Whether `SWARM_END_WITH_STDIN` is set.
    pub end_with_stdin: bool,
}

impl Env {
    /// Reads the process's environment. Values that are not UTF-8 count as unset.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the command line is the one place that reads the environment"
    )]
    pub fn of_process() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads through `value`; empty variables count as unset.
    pub fn read(value: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name| value(name).filter(|value| !value.is_empty());
        Self {
            debug: value("DEBUG").is_some_and(|debug| go_bool(&debug) == Some(true)),
            color: value("NO_COLOR").is_none(),
            swarm_host: value("SWARM_HOST"),
            swarm_discovery: value("SWARM_DISCOVERY"),
            swarm_advertise: value("SWARM_ADVERTISE"),
            docker_host: value("DOCKER_HOST"),
            docker_tls_verify: value("DOCKER_TLS_VERIFY").is_some(),
            docker_cert_path: value("DOCKER_CERT_PATH"),
            consul_http_token: value("CONSUL_HTTP_TOKEN"),
            consul_http_auth: value("CONSUL_HTTP_AUTH").is_some(),
            etcdctl_user: value("ETCDCTL_USER"),
            zk_auth: value("SWARM_ZK_AUTH"),
            http_proxy: value("http_proxy"),
            https_proxy: value("https_proxy"),
            no_proxy: value("no_proxy"),
            end_with_stdin: value(END_WITH_STDIN).is_some(),
        }
    }
}

/// Go's `strconv.ParseBool`.
pub(super) fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
