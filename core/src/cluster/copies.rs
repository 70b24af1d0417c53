//! Containers that took the place of others whose engine failed.
//!
//! Engines keep what was done, nobody else: a container made in place of another carries [`MOVE_LABEL`], which names by
//! ID every container it replaces. Any later primary knows from it which of several copies is the newest, what is left
//! to do with it, and which containers on an engine that returns are former copies. A container that is not named in a
//! label is never taken for a copy, whatever swarm ID it claims (defects E1 and E17).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::container::{Container, SHORT_ID, SWARM_ID_LABEL};
use super::{Cluster, Engine};

/// The label of a container that was made in place of others.
pub const MOVE_LABEL: &str = "com.docker.swarm.move";

/// How many former copies a label names, the newest of them.
const REPLACES_MAX: usize = 50;

/// What [`MOVE_LABEL`] says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The swarm ID of all copies. A label that came along with an image names another one.
    of: String,
    /// Their image, for the same reason: the image committed from a container is another one.
    image: String,
    /// The full IDs of the containers it replaces, oldest first.
    replaces: Vec<String>,
    /// Orders the moves of one epoch.
    serial: u64,
    /// Whether it is to run.
    pub start: bool,
    /// The networks to be joined before that, with their endpoint settings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, Value>,
}

impl Move {
    /// The move that makes a new copy of `old`, the `serial`th of its epoch. A copy is to run if the old one ran, or was
    /// to run and had not come to it.
    #[must_use]
    pub fn of(old: &Container, serial: u64, networks: BTreeMap<String, Value>) -> Self {
        let former = old.moved();
        let mut replaces = former.map_or_else(Vec::new, |former| former.replaces.clone());
        replaces.push(old.id.to_string());
        replaces.drain(..replaces.len().saturating_sub(REPLACES_MAX));
        Self {
            of: swarm_id_for(old).to_owned(),
            image: old.image.to_string(),
            replaces,
            serial,
            start: old.is_running() || is_unfinished(old),
            networks,
        }
    }

    /// The swarm ID of all copies.
    #[must_use]
    pub fn swarm_id(&self) -> &str {
        &self.of
    }

    /// The full IDs of the containers it replaces.
    #[must_use]
    pub fn replaces(&self) -> &[String] {
        &self.replaces
    }

    /// Whether it replaces the container of this full ID.
    #[must_use]
    pub fn names(&self, id: &str) -> bool {
        self.replaces.iter().any(|one| one == id)
    }

    /// Reads the label among those of a container with this image; `None` if there is none, or it is not its own.
    #[must_use]
    pub fn read(labels: &BTreeMap<String, String>, image: &str) -> Option<Self> {
        let own: Self = serde_json::from_str(labels.get(MOVE_LABEL)?).ok()?;
        let is_own = labels.get(SWARM_ID_LABEL) == Some(&own.of) && own.image == image;
        is_own.then_some(own)
    }
}

/// The name of a former copy that gave way to a newer one; whoever starts it under this name means to.
#[must_use]
pub fn retired_name(container: &Container) -> String {
    let short = container.id.get(..SHORT_ID).unwrap_or(&container.id);
    format!("{}-moved-{short}", container.name())
}

/// Whether it has such a name.
#[must_use]
pub fn is_retired(container: &Container) -> bool {
    let short = container.id.get(..SHORT_ID).unwrap_or(&container.id);
    container.name().ends_with(&format!("-moved-{short}"))
}

/// The swarm ID that copies of a container have: its own one, or its ID if it was made past swarm.
#[must_use]
pub fn swarm_id_for(container: &Container) -> &str {
    container.swarm_id().unwrap_or(&container.id)
}

/// Whether a move made the container and has not come to its end: it is to run and never did.
#[must_use]
pub fn is_unfinished(container: &Container) -> bool {
    let to_start = container.moved().is_some_and(|moved| moved.start);
    to_start && container.is_untouched()
}

impl Cluster {
    /// The newest copy that took the container's place, if the view has it.
    #[must_use]
    pub fn successor(&self, container: &Container) -> Option<(&Engine, &Container)> {
        let named = self.replacing(&container.id).into_iter();
        let siblings = match container.moved() {
            Some(moved) => self.places_of_swarm_id(&moved.of),
            None => Vec::new(),
        };
        named
            .chain(siblings)
            .filter_map(|place| self.at(&place))
            .filter(|(_, other)| outranks(other, container))
            .max_by_key(|(_, other)| order(other))
    }

    /// The newest copy that replaces the container of this full ID, which the view need not have.
    #[must_use]
    pub fn copy_of(&self, id: &str) -> Option<(&Engine, &Container)> {
        let places = self.replacing(id);
        places
            .iter()
            .filter_map(|place| self.at(place))
            .max_by_key(|(_, copy)| order(copy))
    }

    /// Whether another container has taken this one's place, also if that one is gone by now: what was moved away and
    /// then removed must not be made again.
    #[must_use]
    pub fn is_replaced(&self, container: &Container) -> bool {
        self.was_replaced(&container.id) || self.successor(container).is_some()
    }

    /// Whether the record is of a container that was moved away from an engine that does not answer: what is left of it
    /// nobody can reach.
    #[must_use]
    pub fn is_left_behind(&self, engine: &Engine, container: &Container) -> bool {
        !engine.is_healthy() && self.is_replaced(container)
    }
}

/// Whether `new` took the place of `old`: it names it, or both replace the same container and `new` came later.
fn outranks(new: &Container, old: &Container) -> bool {
    let Some(moved) = new.moved() else {
        return false;
    };
    if new.id == old.id {
        return false;
    }
    if moved.names(&old.id) {
        return true;
    }
    old.moved().is_some_and(|former| {
        let related = former.replaces.iter().any(|id| moved.names(id));
        related && former.of == moved.of && former.image == moved.image && order(new) > order(old)
    })
}

/// Later copies are greater.
fn order(container: &Container) -> (u64, u64) {
    let serial = container.moved().map_or(0, |moved| moved.serial);
    (container.epoch().unwrap_or(0), serial)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{Described, address, cluster};
    use super::super::{EPOCH_LABEL, EngineState};
    use super::*;
    use crate::cluster::tests::NOW;

    fn copy(id: &str, epoch: u64, replaces: &[&str], serial: u64) -> Described {
        let mut copy = Described::new(id, "web").swarm_id("key");
        let label = json!({"of": "key", "image": "nginx:1", "replaces": replaces, "serial": serial, "start": true});
        copy.inspect["Config"]["Labels"][EPOCH_LABEL] = epoch.to_string().into();
        copy.inspect["Config"]["Labels"][MOVE_LABEL] = label.to_string().into();
        copy
    }

    fn successor(cluster: &Cluster, id: &str) -> Option<String> {
        let (_, container) = cluster.container(id).unwrap();
        let found = cluster.successor(container);
        found.map(|(_, container)| container.id.to_string())
    }

    #[test]
    fn a_copy_replaces_what_it_names_and_nothing_else() {
        // spec/classic.md section 10.5, E1 and E17
        let mut cluster = cluster(&[(1, 1), (1, 1), (1, 1)]);
        Described::new("old0", "web")
            .swarm_id("key")
            .put(&mut cluster, 0);
        Described::new("claims", "own")
            .swarm_id("key")
            .put(&mut cluster, 2);
        assert_eq!(successor(&cluster, "old0"), None);
        copy("new0", 4, &["old0"], 9).put(&mut cluster, 1);
        assert_eq!(successor(&cluster, "old0").as_deref(), Some("new0"));
        assert_eq!(successor(&cluster, "claims"), None);
        assert_eq!(successor(&cluster, "new0"), None);
    }

    #[test]
    fn of_two_copies_the_later_epoch_is_newer_then_the_later_move() {
        let mut cluster = cluster(&[(1, 1), (1, 1), (1, 1)]);
        copy("one", 4, &["gone"], 9).put(&mut cluster, 0);
        copy("two", 5, &["gone"], 1).put(&mut cluster, 1);
        assert_eq!(successor(&cluster, "one").as_deref(), Some("two"));
        copy("three", 5, &["gone"], 2).put(&mut cluster, 2);
        assert_eq!(successor(&cluster, "one").as_deref(), Some("three"));
        assert_eq!(successor(&cluster, "two").as_deref(), Some("three"));
        assert_eq!(successor(&cluster, "three"), None);
    }

    #[test]
    fn a_label_that_came_with_an_image_counts_for_nothing() {
        let mut cluster = cluster(&[(1, 1), (1, 1)]);
        Described::new("old0", "web")
            .swarm_id("key")
            .put(&mut cluster, 0);
        let mut through_swarm = copy("own", 9, &["old0"], 1);
        through_swarm.inspect["Config"]["Labels"][SWARM_ID_LABEL] = "other".into();
        through_swarm.put(&mut cluster, 1);
        let mut past_swarm = copy("past", 9, &["old0"], 1);
        past_swarm.inspect["Config"]["Image"] = "committed:1".into();
        past_swarm.put(&mut cluster, 1);
        assert_eq!(successor(&cluster, "old0"), None);
    }

    #[test]
    fn what_was_moved_away_stays_replaced_when_its_copy_is_removed() {
        let mut cluster = cluster(&[(1, 1), (1, 1)]);
        let old = Described::new("old0", "web").swarm_id("key");
        old.put(&mut cluster, 0);
        copy("new0", 4, &["old0"], 9).put(&mut cluster, 1);
        let down = EngineState::Unhealthy;
        cluster.set_health(&address(0), down, 0, None, NOW).unwrap();
        assert_eq!(&*cluster.container("web").unwrap().1.id, "new0");
        assert_eq!(&*cluster.by_swarm_id("key").unwrap().1.id, "new0");
        assert!(cluster.remove_container(&address(1), "new0"));
        let (engine, container) = cluster.container("old0").unwrap();
        assert!(cluster.is_left_behind(engine, container));
        // Gone for good, it is forgotten.
        assert!(cluster.remove_container(&address(0), "old0"));
        old.put(&mut cluster, 0);
        let (_, container) = cluster.container("old0").unwrap();
        assert!(!cluster.is_replaced(container));
    }

    #[test]
    fn a_move_goes_on_with_what_the_last_one_began() {
        let mut cluster = cluster(&[(1, 1)]);
        let mut begun = copy("begun", 4, &["old0"], 9);
        begun.inspect["State"] = json!({"Status": "created", "StartedAt": "0001-01-01T00:00:00Z"});
        begun.put(&mut cluster, 0);
        let (_, container) = cluster.container("begun").unwrap();
        let next = Move::of(container, 10, BTreeMap::new());
        assert!(next.start);
        assert!(next.names("old0") && next.names("begun"));
        let labels = BTreeMap::from([
            (MOVE_LABEL.to_owned(), serde_json::to_string(&next).unwrap()),
            (SWARM_ID_LABEL.to_owned(), "key".to_owned()),
        ]);
        assert_eq!(Move::read(&labels, "nginx:1"), Some(next));
    }
}
