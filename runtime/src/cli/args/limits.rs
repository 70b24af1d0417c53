//! The options under "Limits".

use clap::Args;
use swarm_core::config::{RawLimits, defaults};

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct Limits {
    /// connections of clients and other managers, at most
    #[arg(long, value_name = "COUNT", default_value = defaults::MAX_CONNECTIONS)]
    max_connections: String,
    /// how many of them one client may have, told by its address; more are closed at once
    #[arg(long, value_name = "COUNT", default_value = defaults::MAX_CLIENT_CONNECTIONS)]
    max_client_connections: String,
    /// TLS handshakes under way, at most; others wait for their turn
    #[arg(long, value_name = "COUNT", default_value = defaults::MAX_HANDSHAKES)]
    max_handshakes: String,
    /// largest request line with headers
    #[arg(long, value_name = "SIZE", default_value = defaults::MAX_HEAD_SIZE)]
    max_head_size: String,
    /// largest JSON body that is read to be understood, such as that of a create
    #[arg(long, value_name = "SIZE", default_value = defaults::MAX_BODY_SIZE)]
    max_body_size: String,
    /// how long a request line with headers may take
    #[arg(long, value_name = "DURATION", default_value = defaults::HEAD_TIMEOUT)]
    head_timeout: String,
    /// how long the TLS handshake of a client may take
    #[arg(long, value_name = "DURATION", default_value = defaults::HANDSHAKE_TIMEOUT)]
    handshake_timeout: String,
    /// how long a JSON body that is read to be understood may take
    #[arg(long, value_name = "DURATION", default_value = defaults::BODY_TIMEOUT)]
    body_timeout: String,
    /// how long a connection of a client may stay open without a request
    #[arg(long, value_name = "DURATION", default_value = defaults::IDLE_TIMEOUT)]
    idle_timeout: String,
    /// requests that wait for a primary, at most
    #[arg(long, value_name = "COUNT", default_value = defaults::MAX_HELD_REQUESTS)]
    max_held_requests: String,
    /// bodies kept to be sent again to another primary, all together
    #[arg(long, value_name = "SIZE", default_value = defaults::MAX_KEPT_SIZE)]
    max_kept_size: String,
    /// connections to each engine and each manager, at most; each stream and tunnel of a client is one
    #[arg(long, value_name = "COUNT", default_value = defaults::MAX_OUTGOING_CONNECTIONS)]
    max_outgoing_connections: String,
    /// how long connecting to an engine or a manager may take
    #[arg(long, value_name = "DURATION", default_value = defaults::CONNECT_TIMEOUT)]
    connect_timeout: String,
    /// how long an engine may take to begin its answer to a request that only looks
    #[arg(long, value_name = "DURATION", default_value = defaults::ANSWER_TIMEOUT)]
    answer_timeout: String,
    /// the same for a request that changes something and does not wait for a container
    #[arg(long, value_name = "DURATION", default_value = defaults::WORK_TIMEOUT)]
    work_timeout: String,
    /// largest answer of an engine that is read whole, such as its list of containers
    #[arg(long, value_name = "SIZE", default_value = defaults::MAX_ANSWER_SIZE)]
    max_answer_size: String,
    /// engines that are looked at for the first time together
    #[arg(long, value_name = "COUNT", default_value = defaults::MAX_ENGINE_STARTS)]
    max_engine_starts: String,
    /// how long a stopping manager waits for requests that are under way
    #[arg(long, value_name = "DURATION", default_value = defaults::STOP_TIMEOUT)]
    stop_timeout: String,
}

impl Limits {
    pub(super) fn raw(self) -> RawLimits {
        RawLimits {
            connections: self.max_connections,
            client_connections: self.max_client_connections,
            handshakes: self.max_handshakes,
            head_size: self.max_head_size,
            body_size: self.max_body_size,
            head_timeout: self.head_timeout,
            handshake_timeout: self.handshake_timeout,
            body_timeout: self.body_timeout,
            idle_timeout: self.idle_timeout,
            held_requests: self.max_held_requests,
            kept_size: self.max_kept_size,
            outgoing_connections: self.max_outgoing_connections,
            connect_timeout: self.connect_timeout,
            answer_timeout: self.answer_timeout,
            work_timeout: self.work_timeout,
            answer_size: self.max_answer_size,
            engine_starts: self.max_engine_starts,
            stop_timeout: self.stop_timeout,
        }
    }
}
