//! Containers and networks that one create request made twice.
//!
//! A change that left for an engine inside the lease may arrive after it: a network holds it, a failover passes, and the
//! same request, repeated at the next primary, has made its container by then. The later epoch's is the one that was
//! acknowledged. Nobody was told of the other, so that it never runs; it is the one to remove.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::container::Container;
use super::keys::Place;
use super::network::Network;
use super::{Cluster, EPOCH_LABEL, Engine, SWARM_ID_LABEL};
use crate::address::HostPort;
use crate::testbed::{Mutant, planted};

/// A container or network to remove: the request that made it has made another one in a later epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Double {
    /// The address of its engine.
    pub engine: HostPort,
    /// Its full ID.
    pub id: Arc<str>,
    /// The full ID of the one that was acknowledged; `None` if that is gone.
    pub kept: Option<Arc<str>>,
}

impl Cluster {
    /// The doubles among the containers of one swarm ID. `made_in` is the latest epoch in which its request is known to
    /// have made one, whether or not that is still there.
    #[must_use]
    pub fn doubles_of(&self, swarm_id: &str, made_in: Option<u64>) -> Vec<Double> {
        let places = self.places_of_swarm_id(swarm_id);
        self.doubles_among(&places, made_in)
    }

    /// All doubles. Walks over all containers once.
    #[must_use]
    pub fn doubles(&self) -> Vec<Double> {
        let groups = self.shared_swarm_ids();
        groups
            .iter()
            .flat_map(|places| self.doubles_among(places, None))
            .collect()
    }

    /// All doubles among the networks that belong to one engine and that no container is on. `made_in` is as for
    /// [`Cluster::doubles_of`].
    #[must_use]
    pub fn network_doubles(&self, made_in: impl Fn(&str) -> Option<u64>) -> Vec<Double> {
        if planted(Mutant::KeepsDoubles) {
            return Vec::new();
        }
        let mut groups: BTreeMap<&str, Vec<(&Engine, &Network, u64)>> = BTreeMap::new();
        for engine in self.validated() {
            for network in engine.networks().filter(|network| network.is_local()) {
                let epoch = network.labels.get(EPOCH_LABEL);
                let epoch = epoch.and_then(|epoch| epoch.parse().ok());
                if let Some((swarm_id, epoch)) = network.labels.get(SWARM_ID_LABEL).zip(epoch) {
                    let group = groups.entry(swarm_id).or_default();
                    group.push((engine, network, epoch));
                }
            }
        }
        let doubles = groups.into_iter().flat_map(|(swarm_id, group)| {
            let newest = group.iter().map(|(_, _, epoch)| *epoch).max();
            let newest = newest.max(made_in(swarm_id)).unwrap_or(0);
            let kept = group.iter().find(|(_, _, epoch)| *epoch == newest);
            let kept: Option<Arc<str>> = kept.map(|(_, network, _)| network.id.as_str().into());
            let goes = group.into_iter().filter(move |(engine, network, epoch)| {
                *epoch < newest && is_unused(engine, network)
            });
            goes.map(move |(engine, network, _)| Double {
                engine: engine.address.clone(),
                id: network.id.as_str().into(),
                kept: kept.clone(),
            })
        });
        doubles.collect()
    }

    fn doubles_among(&self, places: &[Place], made_in: Option<u64>) -> Vec<Double> {
        if planted(Mutant::KeepsDoubles) {
            return Vec::new();
        }
        let all: Vec<(&Engine, &Container, u64)> = places
            .iter()
            .filter_map(|place| {
                let (engine, container) = self.at(place)?;
                Some((engine, container, container.epoch()?))
            })
            .collect();
        let newest = all.iter().map(|(_, _, epoch)| *epoch).max();
        let Some(newest) = newest.max(made_in) else {
            return Vec::new();
        };
        let kept = all.iter().find(|(_, _, epoch)| *epoch == newest);
        let kept = kept.map(|(_, container, _)| *container);
        // A label can come from an image that was committed from a container; then the epoch is the same.
        let goes = |container: &Container, epoch: u64| {
            epoch < newest
                && kept.is_none_or(|kept| kept.image == container.image)
                && container.is_untouched()
        };
        all.iter()
            .filter(|(_, container, epoch)| goes(container, *epoch))
            .map(|(engine, container, _)| Double {
                engine: engine.address.clone(),
                id: container.id.clone(),
                kept: kept.map(|kept| kept.id.clone()),
            })
            .collect()
    }
}

fn is_unused(engine: &Engine, network: &Network) -> bool {
    let uses = |container: &Arc<Container>| {
        let mut networks = container.networks.iter();
        networks.any(|used| *used.id == *network.id || *used.name == *network.name)
    };
    !engine.containers().any(uses)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{Described, address, cluster};
    use super::*;

    fn made(id: &str, epoch: u64) -> Described {
        let mut made = Described::new(id, id).swarm_id("key");
        made.inspect["Config"]["Labels"][EPOCH_LABEL] = epoch.to_string().into();
        made.inspect["State"] = json!({"Status": "created", "StartedAt": "0001-01-01T00:00:00Z"});
        made
    }

    fn doubles(cluster: &Cluster) -> Vec<String> {
        let all = cluster.doubles();
        assert_eq!(all, cluster.doubles_of("key", None));
        all.iter().map(|double| double.id.to_string()).collect()
    }

    #[test]
    fn what_an_earlier_epoch_made_goes_unless_it_ever_ran() {
        let mut cluster = cluster(&[(1, 1), (1, 1)]);
        made("late", 3).put(&mut cluster, 0);
        assert!(doubles(&cluster).is_empty());
        made("kept", 4).put(&mut cluster, 1);
        assert_eq!(doubles(&cluster), ["late"]);
        let mut started = made("late", 3);
        started.inspect["State"]["StartedAt"] = "2024-01-01T00:00:00Z".into();
        started.put(&mut cluster, 0);
        assert!(doubles(&cluster).is_empty());
    }

    fn networks(cluster: &mut Cluster, engine: usize, made: &[(&str, u64)]) {
        let made = made.iter().map(|(id, epoch)| {
            let labels = json!({SWARM_ID_LABEL: "key", EPOCH_LABEL: epoch.to_string()});
            json!({"Id": id, "Name": "net", "Scope": "local", "Driver": "bridge", "Labels": labels})
        });
        let list = serde_json::Value::Array(made.collect()).to_string();
        let list = Network::parse_list(list.as_bytes()).unwrap();
        cluster.replace_networks(&address(engine), list).unwrap();
    }

    #[test]
    fn a_network_of_an_earlier_epoch_goes_unless_a_container_is_on_it() {
        let mut cluster = cluster(&[(1, 1), (1, 1)]);
        let doubles = |cluster: &Cluster, made_in: Option<u64>| -> Vec<(String, Option<String>)> {
            let doubles = cluster.network_doubles(|_| made_in).into_iter();
            doubles
                .map(|double| {
                    (
                        double.id.to_string(),
                        double.kept.map(|kept| kept.to_string()),
                    )
                })
                .collect()
        };
        networks(&mut cluster, 0, &[("late", 3)]);
        assert!(doubles(&cluster, None).is_empty());
        assert_eq!(doubles(&cluster, Some(4)), [("late".into(), None)]);
        networks(&mut cluster, 1, &[("kept", 4)]);
        assert_eq!(
            doubles(&cluster, None),
            [("late".into(), Some("kept".into()))]
        );
        let mut user = Described::new("c", "c");
        user.entry["NetworkSettings"] = json!({"Networks": {"net": {"NetworkID": ""}}});
        user.put(&mut cluster, 0);
        assert!(doubles(&cluster, None).is_empty());
    }

    #[test]
    fn containers_of_one_epoch_or_of_another_image_stay() {
        let mut cluster = cluster(&[(1, 1)]);
        made("one", 4).put(&mut cluster, 0);
        made("other", 4).put(&mut cluster, 0);
        let mut committed = made("committed", 3);
        committed.entry["Image"] = "other:1".into();
        committed.inspect["Config"]["Image"] = "other:1".into();
        committed.put(&mut cluster, 0);
        assert!(doubles(&cluster).is_empty());
    }

    #[test]
    fn a_late_one_goes_though_the_acknowledged_one_is_gone() {
        let mut cluster = cluster(&[(1, 1)]);
        made("late", 3).put(&mut cluster, 0);
        assert!(cluster.doubles_of("key", Some(3)).is_empty());
        let gone = cluster.doubles_of("key", Some(4));
        assert_eq!(gone.first().map(|double| &*double.id), Some("late"));
    }
}
