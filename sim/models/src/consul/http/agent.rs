//! `/v1/status/`, `/v1/agent/self` and `/v1/catalog/nodes`: enough for a client to find its way.

use serde_json::{Value, json};

use super::{Access, Call, Reply, with_meta};
use crate::consul::server::Failure;
use crate::consul::state::Watched;
use crate::consul::{Server, VERSION};

/// `GET /v1/status/leader`; empty while there is none. It needs no token.
pub(super) fn leader(server: &Server, call: &Call) -> Result<Reply, Failure> {
    let leader = server
        .cluster
        .leader()
        .map_or_else(String::new, rpc_address);
    call.json(200, &leader)
}

/// `GET /v1/status/peers`. It needs no token.
pub(super) fn peers(server: &Server, call: &Call) -> Result<Reply, Failure> {
    let peers: Vec<String> = (0..server.cluster.nodes.len()).map(rpc_address).collect();
    call.json(200, &peers)
}

/// `GET /v1/agent/self`.
pub(super) fn this(server: &Server, call: &Call) -> Result<Reply, Failure> {
    call.access.require()?;
    let config = json!({
        "Datacenter": "dc1",
        "PrimaryDatacenter": "dc1",
        "NodeName": server.name(),
        "NodeID": node_id(server.id),
        "Revision": "",
        "Server": true,
        "Version": VERSION,
    });
    let member = json!({
        "Name": server.name(),
        "Addr": "127.0.0.1",
        "Port": 8301,
        "Status": 1,
    });
    call.json(
        200,
        &json!({ "Config": config, "Member": member, "Meta": {} }),
    )
}

/// `GET /v1/catalog/nodes`.
pub(super) async fn nodes(server: &Server, call: Call) -> Result<Reply, Failure> {
    let answer = server.query(&call.params.query(Watched::Nodes)?).await?;
    let nodes = answer.state.nodes().iter().enumerate();
    let nodes: Vec<Value> = nodes
        .filter(|_node| call.access == Access::All)
        .map(|(n, name)| {
            json!({
                "ID": node_id(n),
                "Node": name,
                "Address": "127.0.0.1",
                "Datacenter": "dc1",
                "TaggedAddresses": { "lan": "127.0.0.1", "wan": "127.0.0.1" },
                "Meta": { "consul-network-segment": "" },
                "CreateIndex": answer.index,
                "ModifyIndex": answer.index,
            })
        })
        .collect();
    Ok(with_meta(call.json(200, &nodes)?, &answer))
}

fn rpc_address(server: usize) -> String {
    format!("127.0.0.1:{}", 8300 + server)
}

fn node_id(server: usize) -> String {
    format!("00000000-0000-4000-8000-{server:012x}")
}
