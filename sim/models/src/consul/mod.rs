//! A double of Consul.
